"""Checks of activations, labels, targets and classes; labels of any two classes; weights of rows."""

import doctest

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs import validation
from sparse_probing.probes.inputs.validation import (
    as_signed_labels,
    check_activations,
    check_classes,
    check_ks,
    check_labels,
    check_targets,
    class_weights,
    row_weights,
)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (41, 130)])
def test_the_place_of_a_value_that_is_not_finite_is_named(dtype, value, place):
    X = np.zeros((50, 140), dtype)
    X[0, 1] = -np.finfo(dtype).max
    assert check_activations(X) is X
    X[place] = value
    with pytest.raises(ProbeError, match=f"Row {place[0]}, column {place[1]} is {value}"):
        check_activations(X)


def test_balanced_weights_give_both_classes_the_same_total():
    y, sample_weights = np.array([1.0, -1, -1, -1]), np.array([2.0, 1, 1, 4])
    assert row_weights(y, 3.0, "balanced").tolist() == [6, 2, 2, 2]
    weights = row_weights(y, 3.0, "balanced", sample_weights)
    assert weights[0] == pytest.approx(weights[1:].sum())
    assert weights.sum() == pytest.approx(3 * sample_weights.sum())
    assert row_weights(y, 3.0, "none", sample_weights) == pytest.approx(3 * sample_weights)


@pytest.mark.parametrize("X", [3.0, [1.0, 2.0], np.empty((0, 3)), np.empty((3, 0))])
def test_activations_that_are_not_a_matrix(X):
    with pytest.raises(ProbeError, match=r"must be a non-empty \(rows, neurons\) matrix; got shape \("):
        check_activations(X)


def test_activations_that_are_not_numbers():
    with pytest.raises(ProbeError, match="must be real numbers; got dtype <U1"):
        check_activations([["a", "b"]])


@pytest.mark.parametrize("y", [1, [], [[1, -1]]])
def test_labels_that_are_not_a_vector(y):
    for check in (check_labels, as_signed_labels):
        with pytest.raises(ProbeError, match=r"non-empty vector with one label per row; got shape \("):
            check(y)


def test_examples():
    result = doctest.testmod(validation)
    assert result.attempted >= 2
    assert result.failed == 0


@pytest.mark.parametrize(
    ("y", "positive_class", "negative_class"),
    [
        ([0, 1, 1, 0], 1, 0),
        (np.array([0.0, 1.0, 1.0, 0.0], dtype=np.float32), 1.0, 0.0),
        ([False, True, True, False], True, False),
        (np.array([False, True, True, False], dtype=object), True, False),
        ([-1, 1, 1, -1], 1, -1),
        (np.array([-1, 1, 1, -1], dtype=np.int8), 1, -1),
        ([1, 2, 2, 1], 2, 1),
        (["code", "prose", "prose", "code"], "prose", "code"),
        (np.array(["code", "prose", "prose", "code"], dtype=object), "prose", "code"),
    ],
)
def test_two_classes_of_any_kind_become_signs(y, positive_class, negative_class):
    labels, positive, negative = as_signed_labels(y)
    assert labels.dtype == np.float64
    assert labels.tolist() == [-1, 1, 1, -1]
    assert (positive, negative) == (positive_class, negative_class)
    assert (type(positive), type(negative)) == (type(positive_class), type(negative_class))
    # The coding inside agrees, so that it can be applied twice.
    assert as_signed_labels(labels)[0].tolist() == check_labels(labels).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1, 1, 1], "only one class, 1. A probe needs rows of two classes"),
        (["code"] * 3, "only one class, 'code'"),
        ([0.0, 1.0, np.nan], "NaN, infinite or None"),
        ([0.0, 1.0, np.inf], "NaN, infinite or None"),
        (np.array(["code", None, "prose"], dtype=object), "NaN, infinite or None"),
        (np.array(["code", float("nan"), "prose"], dtype=object), "NaN, infinite or None"),
        ([0, 1, 2], r"have 3 classes \(0, 1, 2\)"),
        (list("abcdefg"), r"have 7 classes \('a', 'b', 'c', 'd', 'e', \.\.\.\)"),
        (np.array([1, "code", 1], dtype=object), "cannot be sorted"),
    ],
)
def test_labels_that_are_not_two_classes(y, match):
    with pytest.raises(ProbeError, match=match):
        as_signed_labels(y)


def test_sizes_of_supports_are_sorted_and_bounded():
    assert check_ks([4, 1, 4], 4) == [1, 4]
    for ks in ([], [0, 1], [5]):
        with pytest.raises(ProbeError, match="Choose every k between 1 and 4"):
            check_ks(ks, 4)


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
