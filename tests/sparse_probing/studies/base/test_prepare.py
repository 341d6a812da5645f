"""How rows become problems: splits, controls, random numbers, rankings."""

import dataclasses

import numpy as np
import pytest

from probing_datasets.feature_dataset.probed_rows import FeatureRows
from probing_datasets.foundation.errors import SplitError
from sparse_probing.config import ProbingConfig
from sparse_probing.studies.base.prepare import make_problem, one_vs_rest, questions, ranked
from sparse_probing.studies.base.study import Study
from sparse_probing.studies.base.variants import CONTROLS, NEURONS

N, WIDTH = 240, 12


def feature_rows(label=None, per_group=4):
    row = np.arange(N)
    label = np.where(np.arange(N) // per_group % 2, 1.0, -1.0) if label is None else label
    return FeatureRows(row, label, row // 2, row // per_group)


@pytest.fixture
def layer():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


def problem(layer, variant=NEURONS, feature="a", number=0, rows=None, config=None):
    config = config or ProbingConfig()
    question = questions(config, feature, "binary", rows or feature_rows())[0]
    return make_problem(config, question, layer, variant, number)


def test_groups_are_on_one_side_and_folds_test_every_row_once():
    config = ProbingConfig.from_flags(test_folds=4)
    asked = questions(config, "a", "binary", feature_rows())
    assert [q.fold for q in asked] == [0, 1, 2, 3]
    assert sorted(np.concatenate([q.split.test for q in asked])) == list(range(N))
    for q in asked:
        assert not set(q.rows.group[q.split.train]) & set(q.rows.group[q.split.test])


def test_more_folds_than_groups_of_a_class():
    with pytest.raises(SplitError, match="31|groups"):
        questions(ProbingConfig.from_flags(test_folds=31), "a", "binary", feature_rows())


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds_are_split_by_groups_too(kind):
    label = np.arange(N) // 4 % 3 if kind == "multiclass" else np.arange(N) / 7
    (question,) = questions(ProbingConfig(), "a", kind, feature_rows(label.astype(float)))
    train, test = (set(question.rows.group[side]) for side in (question.split.train, question.split.test))
    assert not train & test
    assert len(question.split.test) == pytest.approx(0.3 * N, abs=8)


def test_shuffled_labels_stay_whole_where_a_group_has_one(layer):
    plain, shuffled = problem(layer), problem(layer, CONTROLS["shuffled_labels"])
    for before, after in ((plain.train, shuffled.train), (plain.test, shuffled.test)):
        assert np.array_equal(before.row, after.row)
        for group in np.unique(after.group):
            assert len(set(after.label[after.group == group])) == 1
    assert not np.array_equal(plain.train.label, shuffled.train.label)


def test_control_labels_that_differ_within_groups_are_exchanged_by_sequence(layer):
    rows = feature_rows(np.where(np.arange(N) // 2 % 2, 1.0, -1.0))
    shuffled = problem(layer, CONTROLS["shuffled_labels"], rows=rows).train
    per_sequence = [len(set(shuffled.label[shuffled.sequence == s])) for s in np.unique(shuffled.sequence)]
    per_group = [len(set(shuffled.label[shuffled.group == g])) for g in np.unique(shuffled.group)]
    assert set(per_sequence) == {1}
    assert set(per_group) == {1, 2}


def test_features_layers_and_controls_have_random_numbers_of_their_own(layer):
    study = Study(fit=lambda config, p: [], rankings=lambda config: ("random",))
    made = [
        problem(layer),
        problem(layer, feature="b"),
        problem(layer, number=1),
        problem(layer, CONTROLS["random_neurons"]),
        problem(layer, config=ProbingConfig.from_flags(seed=1)),
    ]
    orders = [ranked(study, ProbingConfig(), [p])[0].top("random", WIDTH).tolist() for p in made]
    assert len({tuple(order) for order in orders}) == len(orders)
    again = ranked(study, ProbingConfig(), [problem(layer)])[0].top("random", WIDTH).tolist()
    assert again == orders[0]
    assert not np.array_equal(made[0].rng("ranking").random(3), made[0].rng("labels").random(3))


def test_random_neurons_take_the_place_of_every_ranking(layer):
    layer[:, 5] += 3 * feature_rows().label
    study = Study(fit=lambda config, p: [])
    (plain,) = ranked(study, ProbingConfig(), [problem(layer)])
    (control,) = ranked(study, ProbingConfig(), [problem(layer, CONTROLS["random_neurons"])])
    assert plain.top("mean_dif", 1).tolist() == [5]
    assert np.array_equal(control.top("mean_dif", WIDTH), control.top("f_stat", WIDTH))
    assert len(set(control.scores) - {"random"}) == 0


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_standardised_neurons_are_ranked_as_such(layer, kind):
    label = feature_rows().label if kind == "binary" else (np.arange(N) // 4 % 3).astype(float)
    layer[:, 2] += label
    layer[:, 4] *= 1000
    rows = feature_rows(label)
    best = {}
    for standardise in (False, True):
        config = ProbingConfig.from_flags(normalize_activations=standardise)
        question = questions(config, "a", kind, rows)[0]
        study = Study(fit=lambda config, p: [], kind=kind)
        (made,) = ranked(study, config, [make_problem(config, question, layer, NEURONS)])
        best[standardise] = made.top("mean_dif", 1).item()
    assert best == {False: 4, True: 2}


def test_one_feature_for_each_class_however_large_its_number():
    label = np.repeat([1_000_000.0, 1_000_001.0, 3.0], N // 3)
    parts = one_vs_rest("t", feature_rows(label))
    assert list(parts) == ["t=3", "t=1000000", "t=1000001"]
    for name, rows in parts.items():
        assert ((rows.label == 1) == (label == int(name.split("=")[1]))).all()


def test_columns_are_the_rows_and_neurons_asked_for(layer):
    made = dataclasses.replace(problem(layer), standardise=True)
    data = made.columns(np.array([7, 1]))
    stored = layer[made.train.row][:, [7, 1]].astype(np.float64)
    np.testing.assert_allclose(data.x_train, (stored - stored.mean(0)) / stored.std(0), atol=1e-5)
    test = layer[made.test.row][:, [7, 1]]
    np.testing.assert_allclose(data.x_test, (test - stored.mean(0)) / stored.std(0), atol=1e-5)
