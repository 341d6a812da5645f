"""Label sets refuse classes and labels that do not fit their kind; 0 and null are different labels."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.learners.label_sets import LabelSet, OnlineFit, checked_labels, output_spans

SETS = (
    LabelSet("is French", "binary"),
    LabelSet("language", "multiclass", ("fr", "de", "en")),
    LabelSet("year", "regression"),
)


def test_columns_of_scores():
    assert [each.outputs for each in SETS] == [1, 3, 1]
    assert output_spans(SETS) == [slice(0, 1), slice(1, 4), slice(4, 5)]
    assert output_spans([]) == []


@pytest.mark.parametrize(
    ("kind", "classes"), [("binary", ("no", "yes")), ("regression", ("a",)), ("multiclass", ()), ("multiclass", ("a",))]
)
def test_classes_that_do_not_fit_the_kind(kind, classes):
    with pytest.raises(ProbeError, match=f"'x' is {kind} and names {len(classes)} classes"):
        LabelSet("x", kind, classes)


def test_zero_is_a_class_and_nan_is_not():
    labels = checked_labels(SETS, [[-1, 0, 0], [1, 2, -3.5], [np.nan, np.nan, np.nan]])
    assert labels.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(labels).all(axis=1), [False, False, True])


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ([0, 0, 0], "Label 0 of the binary set 'is French'.*-1 and \\+1"),
        ([1, 3, 0], "Label 3 of the multiclass set 'language'.*from 0 to 2"),
        ([1, 0.5, 0], "Label 0.5 of the multiclass"),
        ([1, 0, np.inf], "Label inf of the regression set 'year'"),
        ([1, 0], "must be \\(rows, 3\\)"),
    ],
)
def test_wrong_labels_are_named(row, match):
    with pytest.raises(ProbeError, match=match):
        checked_labels(SETS, [row])


def test_scores_of_a_fit():
    fit = OnlineFit(SETS[1], np.array([[1.0, 0], [0, 2], [3, 3]]), np.array([0.0, 1, -1]), "Exact.", True, 1.0)
    np.testing.assert_array_equal(fit.scores(np.array([[2, 1]], np.float16)), [[2, 3, 8]])
