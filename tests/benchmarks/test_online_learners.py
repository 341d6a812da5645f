"""The benchmark of learners: whole documents in batches, controls by document, and every learner near the converged."""

import numpy as np

from benchmarks.online_learners import SETS, LearnersBenchmark, accuracies, batches, converged, learned, shuffled
from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.averaged_adamw import AdamWSettings
from sparse_probing.online.learners.moments import Moments, MomentsSettings
from sparse_probing.probes.splits.common_split import common_split


def made_rows(n_documents=180, rows_per_document=10):
    rng = np.random.default_rng(0)
    document = np.repeat(np.arange(n_documents), rows_per_document)
    language = rng.permutation(np.arange(n_documents) % 9)[document]
    labels = np.stack([language, np.where(language < 4, 1, -1)], axis=1).astype(np.float64)
    centres = rng.standard_normal((9, 16))
    return (centres[language] + 0.5 * rng.standard_normal((len(document), 16))).astype(np.float32), labels, document


def test_batches_have_all_rows_of_each_epoch_in_whole_documents():
    document = np.repeat([5, 3, 9, 4, 11, 2, 7], [3, 4, 2, 6, 1, 5, 2])
    rows = np.flatnonzero(document != 9)
    orders = np.concatenate(list(batches(rows, document, 4, 2, seed=0))).reshape(2, -1)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), rows)
        assert np.count_nonzero(np.diff(document[order])) == 5
    assert not np.array_equal(*orders)


def test_a_control_keeps_documents_whole_and_changes_their_labels():
    _, labels, document = made_rows()
    control = shuffled(labels, document, 0)
    assert not np.array_equal(control, labels)
    assert len(np.unique(np.column_stack([document, control]), axis=0)) == len(np.unique(document))
    np.testing.assert_array_equal(np.sort(control[::10, 0]), np.sort(labels[::10, 0]))


def test_learners_come_near_the_converged_probe_and_controls_do_not():
    X, labels, document = made_rows()
    split = common_split(labels, document, [each.kind for each in SETS], 0.1, 0.3, 0)
    of_converged = accuracies(
        [each[split.test] for each in converged(LearnersBenchmark(Cs=(1.0,)), X, labels, split)], labels[split.test]
    )
    for y, is_right in ((labels, True), (shuffled(labels, document, 0), False)):
        for learner in (
            Moments(16, SETS, MomentsSettings(), "cpu"),
            AdamW(16, SETS, AdamWSettings.of_pass(SETS, y[split.train], 5), "cpu"),
        ):
            order = batches(split.train, document, 100, 5, seed=0)
            scores, spent = learned(learner, X, y, split, order)
            accuracy = accuracies([each[split.test] for each in scores], labels[split.test])
            assert spent > 0
            assert (min(np.subtract(accuracy, of_converged)) > -0.03) == is_right
