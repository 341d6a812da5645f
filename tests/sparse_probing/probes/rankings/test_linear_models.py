"""Rankings by linear models: scikit-learn, independence of features, constant neurons."""

import logging

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sparse_probing.probes.rankings import linear_models, rank_layer, rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons
from tests.builders.layers import correlated_at_many_scales, eight_features


def rank(name, X, y):
    return rank_neurons(X, y, name, np.random.default_rng(0))


def test_l1_coefficients_equal_scikit_learn():
    X, y = correlated_at_many_scales()
    standard = StandardScaler().fit_transform(X)
    weight = 0.5 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    strongest = np.abs((weight * y / 2) @ standard).max()
    # scikit-learn's balanced weights sum to n, ours to 1.
    model = LogisticRegression(
        C=1 / (0.1 * strongest * len(y)), l1_ratio=1, solver="saga", class_weight="balanced", tol=1e-8, max_iter=20_000
    ).fit(standard, y)
    ours, theirs = rank("lr", X, y), np.abs(model.coef_[0])
    assert 1 < np.count_nonzero(theirs) < 25
    assert np.maximum(ours, 0) == pytest.approx(theirs, abs=2e-3 * theirs.max())
    probability = 1 / (1 + np.exp(y * model.decision_function(standard)))
    outside = np.abs((weight * y * probability) @ standard) / (0.1 * strongest) - 1
    assert ours[theirs == 0] == pytest.approx(outside[theirs == 0], abs=5e-3)


def test_neurons_outside_the_model_follow_those_inside():
    X, y = correlated_at_many_scales()
    scores = rank("lr", X, y)
    assert len(set(scores)) == len(scores)
    assert (scores[top_neurons(scores, np.count_nonzero(scores > 0))] > 0).all()
    assert (scores >= -1).all()


def test_svm_coefficients_equal_scikit_learn():
    X, y = correlated_at_many_scales()
    standard = StandardScaler().fit_transform(X)
    # A large scale makes the penalty on the intercept vanish.
    model = LinearSVC(
        C=1 / len(y), class_weight="balanced", intercept_scaling=1e3, dual=False, tol=1e-10, max_iter=100_000
    ).fit(standard, y)
    theirs = np.abs(model.coef_[0])
    assert rank("svm", X, y) == pytest.approx(theirs, abs=2e-3 * theirs.max())


@pytest.mark.parametrize(("n", "d"), [(400, 60), (60, 300)])
@pytest.mark.parametrize("name", ["lr", "svm"])
def test_scores_do_not_depend_on_the_scale_of_the_layer_or_of_a_neuron(name, n, d):
    X, y = correlated_at_many_scales(n, d)
    scores = rank(name, X, y)
    of_each = 10.0 ** np.random.default_rng(1).uniform(-3, 3, d)
    for scale in (1e-3, 1e3, of_each):
        assert rank(name, X * scale, y) == pytest.approx(scores, abs=1e-3 * scores.max())


@pytest.mark.parametrize(("n", "d"), [(500, 30), (50, 200), (200, 200)])
def test_svm_coefficients_are_the_optimal_ones_with_more_rows_and_with_more_neurons(n, d):
    X, y = correlated_at_many_scales(n, d)
    standard = StandardScaler().fit_transform(X)
    weight = 0.5 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())

    def objective(theta):
        slack = np.maximum(1 - y * (standard @ theta[1:] + theta[0]), 0)
        slope = -2 * weight * y * slack
        return weight @ slack**2 + theta[1:] @ theta[1:] / 2, np.r_[slope.sum(), standard.T @ slope + theta[1:]]

    best = minimize(objective, np.zeros(d + 1), jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-16})
    theirs = np.abs(best.x[1:])
    assert rank("svm", X, y) == pytest.approx(theirs, abs=1e-4 * theirs.max())


def test_opposite_neurons_get_the_same_coefficient_or_the_first_gets_all_of_it():
    X, y = correlated_at_many_scales(d=2)
    X[:, 1] = -X[:, 0]
    first, second = rank("svm", X, y)
    assert first == pytest.approx(second, rel=1e-3)
    # The L1 penalty does not say how equal neurons share a coefficient: a copy comes after the neurons of the model.
    first, second = rank("lr", X, y)
    assert first > 0.1
    assert second == pytest.approx(0, abs=1e-3)
    assert second <= 0


def test_too_few_steps_are_logged(monkeypatch, caplog):
    X, y = correlated_at_many_scales()
    monkeypatch.setattr(linear_models, "MAX_STEPS", 2)
    with caplog.at_level(logging.WARNING):
        rank("svm", X, y)
    assert "after 2 steps" in caplog.text


def rank_together(name, X, features):
    return rank_layer(X, features, name, [np.random.default_rng(0)] * len(features))


@pytest.mark.parametrize("name", ["lr", "svm"])
def test_scores_do_not_depend_on_the_other_features(name):
    X, features = eight_features()
    together = rank_together(name, X, features)
    assert np.array_equal(rank_together(name, X, features[::-1])[::-1], together)
    for feature, scores in list(zip(features, together, strict=True))[:4]:
        assert np.array_equal(rank_together(name, X, [feature])[0], scores)
    assert not np.array_equal(together[0], together[2])


@pytest.mark.parametrize("name", ["lr", "svm"])
def test_supports_do_not_depend_on_the_rows_of_others(name):
    X, features = eight_features()
    together = rank_together(name, X, features)
    for i in (1, 3):
        single = rank(name, X[features[i].row], features[i].label)
        assert single == pytest.approx(together[i], abs=1e-4 * single.max())
        for k in (4, 16, 64):
            assert set(top_neurons(single, k)) == set(top_neurons(together[i], k))
            assert set(top_neurons(single, k)) != set(top_neurons(together[i - 1], k))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["lr", "svm"])
def test_a_layer_of_constant_neurons(name):
    y = np.tile([1, -1, -1], 20)
    assert np.isneginf(rank(name, np.full((60, 5), 0.1), y)).all()
