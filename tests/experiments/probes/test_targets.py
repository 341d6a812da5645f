import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from experiments.probes.targets import check_classes, check_targets, class_weights
from probing_datasets.foundation.errors import ProbeError

X = np.arange(12.0).reshape(6, 2)


def test_targets_become_float64():
    activations, targets = check_targets(X.astype(np.float16), [1, 2, 3, 4, 5, 6])
    assert activations.dtype == np.float16
    assert targets.dtype == np.float64


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1.0, 2.0], r"6 rows but targets of shape \(2,\)"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, np.nan], "finite real numbers"),
        (["a", "b", "c", "d", "e", "f"], "finite real numbers"),
        ([2.0] * 6, r"All 6 targets are 2\.0"),
    ],
)
def test_bad_targets(y, match):
    with pytest.raises(ProbeError, match=match):
        check_targets(X, y)


def test_classes_are_sorted_and_coded():
    _, classes, codes = check_classes(X, ["b", "a", "c", "a", "b", "b"])
    assert classes.tolist() == ["a", "b", "c"]
    assert codes.tolist() == [1, 0, 2, 0, 1, 1]


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (["a"] * 6, "All 6 rows are of class a"),
        ([1.0, 2.0, np.nan, 1.0, 2.0, 1.0], "Some classes are NaN"),
        ([1, 2], r"targets of shape \(2,\)"),
    ],
)
def test_bad_classes(y, match):
    with pytest.raises(ProbeError, match=match):
        check_classes(X, y)


def test_weights_equal_scikit_learn():
    codes = np.array([0, 1, 2, 2, 2, 1])
    assert class_weights(codes, "balanced") == pytest.approx(compute_sample_weight("balanced", codes))
    assert class_weights(codes, "none").tolist() == [1] * 6
