"""Classification metrics against scikit-learn: ties, dtypes, constant scores, counts, subsets, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.classification import classification_metrics, precision_recall_points
from tests.builders.references import scikit_learn_classification


def assert_equal_to_scikit_learn(y, scores):
    metrics = classification_metrics(y, scores)
    for column in range(scores.shape[1]):
        reference = scikit_learn_classification(y, scores[:, column])
        assert metrics.keys() == reference.keys()
        for name, value in reference.items():
            assert metrics[name][column] == pytest.approx(value, abs=1e-12), name


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 6), st.floats(0.02, 0.98))
def test_equal_to_scikit_learn_with_many_ties(seed, n, levels, share):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < share, 1, -1).astype(np.int8)
    y[:2] = 1, -1
    assert_equal_to_scikit_learn(y, rng.integers(-levels, levels + 1, (n, 2)) / 2)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64]))
def test_equal_to_scikit_learn_in_every_dtype(seed, dtype):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(80) < 0.3, 1, -1)
    y[:2] = 1, -1
    assert_equal_to_scikit_learn(y, (rng.standard_normal((80, 2)) + y[:, None]).astype(dtype))


@pytest.mark.parametrize("constant", [-1.0, 0.0, 2.0])
def test_constant_scores(constant):
    y = np.array([1, -1, -1, 1, -1])
    assert_equal_to_scikit_learn(y, np.full((5, 1), constant))


def test_perfect_and_reversed_scores():
    y = np.repeat([-1, 1], 50)
    metrics = classification_metrics(y, np.stack([y, -y], axis=1))
    assert metrics["mcc"].tolist() == [1, -1]
    assert metrics["roc_auc"].tolist() == [1, 0]


def test_counts_do_not_overflow():
    y = np.repeat([-1, 1], 200_000)
    scores = y[:, None] * 1.0
    scores[::4] *= -1
    assert classification_metrics(y, scores)["mcc"][0] == pytest.approx(0.5)


def test_control_uninformative_scores_are_at_chance():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(2000) < 0.3, 1, -1)
    metrics = classification_metrics(y, rng.standard_normal((2000, 20)))
    assert abs(metrics["roc_auc"] - 0.5).max() < 0.06
    assert abs(metrics["mcc"]).max() < 0.1


@pytest.mark.parametrize(
    ("y", "scores", "message"),
    [
        ([1, 1], [[0.0], [1.0]], "both classes"),
        ([1, -1], [[np.nan], [1.0]], "Row 0, column 0 is nan"),
        ([1, -1], [[0.0]], "1 rows but 2 labels"),
        ([1, -1], [0.0, 1.0], "non-empty"),
    ],
)
def test_errors(y, scores, message):
    with pytest.raises(ProbeError, match=message):
        classification_metrics(y, scores)


def test_unknown_metric():
    with pytest.raises(ProbeError, match=r"\['f3'\].*average_precision"):
        classification_metrics([1, -1], [[1.0], [0.0]], only=["f3", "mcc"])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(0, 200), st.integers(2, 120))
def test_points_of_the_curve_are_those_that_scikit_learn_and_the_paper_s_code_keep(seed, n, levels, n_points):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, 1, -1)
    y[:2] = 1, -1
    scores = rng.integers(-levels, levels + 1, n) / 2
    precision, recall, _ = precision_recall_curve(y, scores)
    if len(precision) > n_points:
        kept = np.round(np.linspace(0, len(precision) - 1, n_points)).astype(int)
        precision, recall = precision[kept], recall[kept]
    ours = precision_recall_points(y, scores, n_points)
    assert ours[0] == pytest.approx(precision, abs=1e-12)
    assert ours[1] == pytest.approx(recall, abs=1e-12)


def test_a_curve_of_one_point_is_refused():
    with pytest.raises(ProbeError, match="at least 2 points, not 1"):
        precision_recall_points([1, -1], [1.0, 0.0], 1)


def test_a_subset_has_the_same_numbers_in_the_requested_order():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(60) < 0.4, 1, -1)
    scores = rng.integers(-2, 3, (60, 7))
    every = classification_metrics(y, scores)
    metrics = classification_metrics(y, scores, only=["roc_auc", "f1_score"])
    assert list(metrics) == ["roc_auc", "f1_score"]
    for name, values in metrics.items():
        assert np.array_equal(values, every[name])


def test_more_columns_than_are_sorted_together(monkeypatch):
    monkeypatch.setattr("sparse_probing.probes.metrics.classification.SORTED_TOGETHER", 200)
    rng = np.random.default_rng(1)
    y = np.where(rng.random(40) < 0.3, 1, -1)
    assert_equal_to_scikit_learn(y, rng.integers(-3, 4, (40, 11)).astype(np.float32))
