"""Label sets refuse classes that do not fit their kind."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.learners.label_sets import LabelSet, OnlineFit, output_spans

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


def test_scores_of_a_fit():
    fit = OnlineFit(SETS[1], np.array([[1.0, 0], [0, 2], [3, 3]]), np.array([0.0, 1, -1]), "Exact.", True, 1.0)
    np.testing.assert_array_equal(fit.scores(np.array([[2, 1]], np.float16)), [[2, 3, 8]])
