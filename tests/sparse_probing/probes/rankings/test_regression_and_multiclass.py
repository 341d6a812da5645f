"""Rankings for real targets and for several classes against scikit-learn."""

import numpy as np
import pytest
from sklearn.feature_selection import f_classif, f_regression, r_regression

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.regression_and_multiclass import (
    REGRESSION_RANKINGS,
    absolute_correlation,
    anova_f_statistic,
    best_one_against_rest,
    regression_f_statistic,
)
from sparse_probing.probes.rankings.top_neurons import top_neurons
from tests.builders.layers import classes_and_targets

VARIABLE = np.arange(50) != 5


def test_regression_rankings_equal_scikit_learn():
    X, _, y = classes_and_targets()
    wide = X.astype(np.float64)[:, VARIABLE]
    assert absolute_correlation(X, y)[VARIABLE] == pytest.approx(np.abs(r_regression(wide, y)))
    assert regression_f_statistic(X, y)[VARIABLE] == pytest.approx(f_regression(wide, y)[0])
    for ranking in REGRESSION_RANKINGS.values():
        scores = ranking(X, y)
        assert scores[5] == -np.inf
        assert top_neurons(scores, 1).tolist() == [3]


def test_perfect_correlation():
    X, _, _ = classes_and_targets()
    y = 2 - 3 * X[:, 9].astype(float)
    assert absolute_correlation(X, y)[9] == pytest.approx(1, abs=1e-12)
    assert absolute_correlation(X, y).max() <= 1
    assert top_neurons(regression_f_statistic(X, y), 1).tolist() == [9]


def test_anova_equals_scikit_learn():
    X, classes, _ = classes_and_targets()
    scores = anova_f_statistic(X, np.array(list("wxyz"))[classes])
    assert scores[VARIABLE] == pytest.approx(f_classif(X.astype(np.float64)[:, VARIABLE], classes)[0])
    assert scores[5] == -np.inf
    assert top_neurons(scores, 1).tolist() == [7]


def test_a_neuron_that_is_its_class_scores_infinity():
    X, classes, _ = classes_and_targets()
    X[:, 1] = classes
    assert anova_f_statistic(X, classes)[1] > 1e20


@pytest.mark.parametrize("ranking", ["mean_dif", "f_stat", "auc"])
def test_best_against_the_rest_is_the_maximum_over_classes(ranking):
    X, classes, _ = classes_and_targets()
    rng = np.random.default_rng(0)
    each = [rank_neurons(X, np.where(classes == c, 1, -1), ranking, rng) for c in range(4)]
    scores = best_one_against_rest(X, classes, ranking, rng)
    assert scores == pytest.approx(np.max(each, axis=0))
    assert top_neurons(scores, 1).tolist() == [7]


def test_bad_input():
    X, classes, y = classes_and_targets()
    with pytest.raises(ProbeError, match="All 300 rows are of class 1"):
        anova_f_statistic(X, np.ones(300, int))
    with pytest.raises(ProbeError, match="finite real numbers"):
        absolute_correlation(X, np.full(300, np.nan))
    with pytest.raises(ProbeError, match="There is no ranking 'best'"):
        best_one_against_rest(X, classes, "best", np.random.default_rng(0))
    X[2, 2] = np.nan
    with pytest.raises(ProbeError, match="Row 2, column 2 is nan"):
        regression_f_statistic(X, y)
