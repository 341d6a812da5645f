"""Choice of the rows of features among candidates, rare classes, and notes on what is dropped."""

from dataclasses import replace

import numpy as np
import pytest

from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import Candidates, every_position, last_position, random_positions
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import Texts
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.text_rows import TextRow
from tests.builders.datasets import rows_of

N_TEXTS = 40


@pytest.fixture
def config(tiny_model_dir):
    return MakeConfig("text_features", str(tiny_model_dir), rows_per_feature=100, min_positives=5, context_length=32)


@pytest.fixture
def sequences(config):
    rows = [TextRow(f"a few words of text {i} " * 20, group=f"group {i // 2}") for i in range(N_TEXTS)]
    return cut_texts(config, Texts(rows, "digest"))


@pytest.fixture
def candidates(config, sequences):
    return every_position(config, sequences)


def by_rows(dataset, feature):
    """The label of each row, by (sequence, position)."""
    return {(sequence, position): label for sequence, position, label in rows_of(dataset, feature)}


def test_candidates(config, sequences, candidates):
    assert len(candidates) == (sequences.lengths - 1).sum()
    assert candidates.position.min() == 1
    ignoring = every_position(replace(config, ignore_first=4), sequences)
    assert ignoring.position.min() == 5
    assert last_position(sequences).position.tolist() == [len(t) - 1 for t in sequences.tokens]
    drawn = random_positions(config, sequences)
    assert np.bincount(drawn.sequence).tolist() == [5] * N_TEXTS
    tokens = candidates.take(sequences.tokens)
    assert tokens.tolist() == [int(sequences.tokens[s][p]) for s, p in zip(*vars(candidates).values(), strict=True)]


def test_values_are_taken_where_the_candidates_are():
    per_sequence = [np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8], [9, 10]])]
    candidates = Candidates(np.array([0, 1, 1]), np.array([1, 0, 2]))
    assert candidates.take(per_sequence).tolist() == [[3, 4], [5, 6], [9, 10]]
    assert candidates.select(np.array([True, False, True])).take(per_sequence).tolist() == [[3, 4], [9, 10]]


def test_binary_rows(config, sequences, candidates):
    is_even = candidates.position % 2 == 0
    dataset = assemble(config, sequences, candidates, [("even", Labels("binary", is_even))])
    rows = by_rows(dataset, "even")
    assert len(rows) == 100
    assert all((position % 2 == 0) == (label == 1) for (_, position), label in rows.items())
    assert dataset.description.features["even"].counts == {"-1": 50, "1": 50}


def test_rows_where_the_feature_applies(config, sequences, candidates):
    early = candidates.position < 6
    labels = Labels("binary", candidates.position < 3, early)
    dataset = assemble(config, sequences, candidates, [("early", labels)])
    assert dataset.feature_probes("early").position.max() < 6
    everything = assemble(config, sequences, candidates, [("early", labels)], balanced=False)
    assert everything.description.features["early"].counts == {"-1": 3 * N_TEXTS, "1": 2 * N_TEXTS}


@pytest.mark.parametrize(
    ("natural", "least", "share"), [(0.5, 0.2, 0.5), (0.3, 0.2, 0.3), (0.1, 0.2, 0.2), (0.9, 0.2, 0.5), (0.1, 0.7, 0.7)]
)
def test_the_share_of_positives_is_the_natural_one_within_bounds(config, sequences, candidates, natural, least, share):
    is_positive = np.arange(len(candidates)) % 10 < 10 * natural
    settings = replace(config, positive_fraction=least)
    dataset = assemble(settings, sequences, candidates, [("x", Labels("binary", is_positive))])
    assert dataset.description.features["x"].counts["1"] == 100 * share


def test_features_share_rows_unless_their_priorities_differ(config, sequences, candidates):
    first, second = (Labels("binary", candidates.position % 7 < k) for k in (3, 4))

    def distinct(*datasets):
        return len({row for dataset in datasets for name in dataset.features for row in by_rows(dataset, name)})

    together = assemble(config, sequences, candidates, [("first", first), ("second", second)])
    other_seed = assemble(replace(config, seed=1), sequences, candidates, [("second", second)])
    assert distinct(together) < 150
    assert distinct(assemble(config, sequences, candidates, [("first", first)]), other_seed) > 180  # control


def test_multiclass_rows_are_even_over_common_classes(config, sequences, candidates):
    values = np.minimum(candidates.position % 20, 3)
    values[:4] = 4
    labels = Labels("multiclass", values, classes=("zero", "one", "two", "more", "rare"))
    dataset = assemble(config, sequences, candidates, [("c", labels)])
    info = dataset.description.features["c"]
    assert info.classes == ("zero", "one", "two", "more")
    assert info.counts == {"0": 25, "1": 25, "2": 25, "3": 25}
    assert dataset.description.dropped == ("c lost classes that are rare (--min_positives 5): rare.",)
    for (_, position), label in by_rows(dataset, "c").items():
        assert label == min(position % 20, 3)


def test_classes_are_numbered_anew_when_one_in_the_middle_is_rare(config, sequences, candidates):
    values = np.where(candidates.position % 2, 0, 2)
    values[5] = 1
    dataset = assemble(config, sequences, candidates, [("c", Labels("multiclass", values))])
    assert dataset.description.features["c"].classes == ("0", "2")
    for (sequence, position), label in by_rows(dataset, "c").items():
        assert label == (0 if position % 2 else 1), (sequence, position)


def test_regression_rows(config, sequences, candidates):
    values = candidates.position / 7
    dataset = assemble(config, sequences, candidates, [("r", Labels("regression", values))])
    probes = dataset.feature_probes("r")
    assert len(probes.label) == 100
    assert np.allclose(probes.label, probes.position / 7)


def few(candidates, n, n_sequences):
    """Positives at ``n`` candidates of the first ``n_sequences`` sequences."""
    positives = np.flatnonzero(candidates.sequence < n_sequences)[:: 31 * n_sequences // n][:n]
    return np.isin(np.arange(len(candidates)), positives)


@pytest.mark.parametrize(
    ("n", "n_sequences", "message"),
    [
        (4, 8, "x was dropped: 4 positives and {} negatives (--min_positives 5)."),
        (8, 2, "x was dropped: its positives are in 1 groups, its negatives in 20."),
    ],
)
def test_rare_features_are_dropped(config, sequences, candidates, n, n_sequences, message):
    rare = Labels("binary", few(candidates, n, n_sequences))
    even = Labels("binary", candidates.position % 2 == 0)
    dataset = assemble(config, sequences, candidates, [("x", rare), ("even", even)])
    assert dataset.features == ("even",)
    assert dataset.description.dropped == (message.format(len(candidates) - 4),)
    with pytest.raises(DatasetError, match=r"No feature is left. x was dropped: .* Use more text."):
        assemble(config, sequences, candidates, [("x", rare)])


def test_rare_classes_and_single_groups_are_dropped(config, sequences, candidates):
    one_class = Labels("multiclass", np.zeros(len(candidates), int))
    one_group = Labels("regression", candidates.position, candidates.sequence < 2)
    with pytest.raises(
        DatasetError, match="c was dropped: it has 1 classes .* r was dropped: its rows are in 1 groups"
    ):
        assemble(config, sequences, candidates, [("c", one_class), ("r", one_group)])


def test_groups_that_share_a_sequence_are_joined_or_noted(config):
    texts = [("a", "one and two"), ("b", "three and four"), ("c", "one and two"), ("a", "one and two")]
    rows = [TextRow(text, group=group) for group, text in texts]
    sequences = cut_texts(replace(config, min_tokens=1), Texts(rows, "digest"))
    candidates = last_position(sequences)
    labels = [("x", Labels("regression", np.arange(4.0)))]
    note = "1 sequences have the tokens of one in another group: "
    dataset = assemble(config, sequences, candidates, labels, join_copies=True)
    assert dataset.description.dropped == (f"{note}these groups were joined.",)
    assert dataset.sequences["group"][:] == ["a", "b", "a", "a"]
    apart = assemble(config, sequences, candidates, labels)
    assert apart.description.dropped == (f"{note}they may be in training and test rows both.",)
    assert apart.sequences["group"][:] == ["a", "b", "c", "a"]
    without_copy = sequences.select(np.array([0, 1, 3]))
    labels = [("x", Labels("regression", np.arange(3.0)))]
    assert assemble(config, without_copy, last_position(without_copy), labels).description.dropped == ()


@pytest.mark.parametrize(("kind", "values"), [("binary", [True, False, False, True]), ("multiclass", [0, 1, 2, 0])])
def test_equal_texts_with_other_labels_are_counted(config, kind, values):
    rows = [TextRow(text, group=group) for group, text in [("a", "one"), ("b", "two"), ("c", "one"), ("a", "one")]]
    sequences = cut_texts(replace(config, min_tokens=1), Texts(rows, "digest"))
    candidates, features = last_position(sequences), [("y", Labels("regression", np.arange(4.0)))]
    features.append(("x", Labels(kind, np.array(values), np.ones(4, bool))))
    note = "x: 1 sequences have the tokens of an earlier one with another label."
    assert note in assemble(config, sequences, candidates, features, join_copies=True).description.dropped
    assert note not in assemble(config, sequences, candidates, features).description.dropped
    features[1] = ("x", Labels(kind, np.array(values), np.array([True, True, False, True])))
    assert note not in assemble(config, sequences, candidates, features, join_copies=True).description.dropped


def test_no_class_loses_its_second_group_by_sampling(config, sequences, candidates):
    """One positive is in the first sequence, hundreds are in another one: a sample rarely takes that of the first."""
    for kind, other in (("binary", False), ("multiclass", 1)):
        values = np.full(len(candidates), other)
        values[np.flatnonzero(candidates.sequence == 0)[3]] = True if kind == "binary" else 0
        values[candidates.sequence == 10] = True if kind == "binary" else 0
        for seed in range(4):
            dataset = assemble(
                replace(config, seed=seed, rows_per_feature=20), sequences, candidates, [("x", Labels(kind, values))]
            )
            probes, label = dataset.feature_probes("x"), 1 if kind == "binary" else 0
            groups = dataset.group_codes[probes.sequence]
            assert len(set(groups[probes.label == label])) == 2
            assert len(set(groups[probes.label != label])) >= 2
            assert len(probes.label) == 20
