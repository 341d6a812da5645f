"""Metrics of ordered classes: scikit-learn's numbers, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, confusion_matrix, mean_absolute_error

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.metrics.ordered_classes import quadratic_kappa, step_error


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40))
def test_equals_scikit_learn(pairs):
    true, predicted = np.array(pairs).T
    confusion = confusion_matrix(true, predicted, labels=range(5))
    assert step_error(confusion) == pytest.approx(mean_absolute_error(true, predicted))
    if len(set(true) | set(predicted)) > 1:
        expected = cohen_kappa_score(true, predicted, weights="quadratic", labels=range(5))
        assert quadratic_kappa(confusion) == pytest.approx(expected)
        # The other direction of the order is the same order.
        assert quadratic_kappa(confusion[::-1, ::-1]) == pytest.approx(quadratic_kappa(confusion))


def test_one_class_only():
    assert quadratic_kappa([[3, 0], [0, 0]]) == 0


@pytest.mark.parametrize("confusion", [np.ones((2, 3)), np.zeros((2, 2)), np.ones(4)])
def test_refuses(confusion):
    with pytest.raises(ProbeError, match="must be square"):
        step_error(confusion)
