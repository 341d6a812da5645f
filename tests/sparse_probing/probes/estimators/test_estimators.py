"""Estimators: scikit-learn's checks, references, pipelines, planted neurons, errors."""

import doctest
import importlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from probing_datasets.foundation.errors import ProbeError, SparseProbingError
from sparse_probing.probes.estimators import DenseProbe, L1Probe, SingleNeuronProbe, SparseRegressor, TopKProbe
from sparse_probing.probes.rankings import RANKINGS
from tests.builders.layers import planted_code_and_prose


@parametrize_with_checks(
    [
        TopKProbe(),
        TopKProbe(ranking="random", scaling="unit", C=1.0, balanced=False, random_state=0),
        SingleNeuronProbe(),
        DenseProbe(),
        L1Probe(),
        SparseRegressor(),
        SparseRegressor(selection="forward", scaling="unit", alpha=1.0),
    ]
)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("module", ["classifiers", "regressor"])
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"sparse_probing.probes.estimators.{module}"))
    assert result.attempted >= 3
    assert result.failed == 0


def test_top_k_is_scikit_learn_s_logistic_regression_on_the_support():
    X, y = planted_code_and_prose()
    probe = TopKProbe(k=5, C=0.3, scaling="none").fit(X, y)
    peer = LogisticRegression(C=0.3, class_weight="balanced", tol=1e-10, max_iter=10_000)
    peer.fit(X[:, probe.support_].astype(float), y)
    np.testing.assert_allclose(probe.coef_[:, probe.support_], peer.coef_, atol=1e-4)
    np.testing.assert_allclose(probe.intercept_, peer.intercept_, atol=1e-3)
    np.testing.assert_allclose(probe.predict_proba(X), peer.predict_proba(X[:, probe.support_]), atol=1e-4)
    assert np.count_nonzero(probe.coef_) == 5
    assert probe.converged_


@pytest.mark.parametrize("balanced", [True, False])
def test_dense_is_scikit_learn_s_logistic_regression(balanced):
    X, y = planted_code_and_prose()
    peer = LogisticRegression(class_weight="balanced" if balanced else None, solver="newton-cholesky", tol=1e-10)
    scores = peer.fit(X.astype(float), y).decision_function(X)
    ours = DenseProbe(C=1.0, balanced=balanced, scaling="none").fit(X, y).decision_function(X)
    np.testing.assert_allclose(ours, scores, atol=1e-3 * abs(scores).max())


@pytest.mark.parametrize(
    ("probe", "scaled_inside"),
    [
        (TopKProbe(k=3, C=1.0, scaling="none"), {"scaling": "unit"}),
        (DenseProbe(C=1.0, scaling="none"), {"scaling": "unit"}),
        (L1Probe(C=0.1, standardize=False), {"standardize": True}),
    ],
)
def test_unit_scaling_is_a_pipeline_with_a_scaler(probe, scaled_inside):
    X, y = planted_code_and_prose()
    scaled = make_pipeline(StandardScaler(), probe).fit(X.astype(float), y).decision_function(X.astype(float))
    ours = type(probe)(**{**probe.get_params(), **scaled_inside}).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(X), scaled, atol=1e-3)
    assert not np.allclose(probe.fit(X, y).decision_function(X), scaled, atol=1e-1)


@pytest.mark.parametrize("ranking", sorted(set(RANKINGS) - {"random"}))
def test_planted_neuron_is_found_and_random_neurons_are_at_chance(ranking):
    X, y = planted_code_and_prose()
    probe = TopKProbe(k=1, ranking=ranking, scaling="unit").fit(X[:200], y[:200])
    assert probe.support_.tolist() == [12]
    chance = [
        TopKProbe(k=1, ranking="random", random_state=seed).fit(X[:200], y[:200]).score(X[200:], y[200:])
        for seed in range(15)
    ]
    assert probe.score(X[200:], y[200:]) > 0.85 > np.median(chance) + 0.1


def test_single_neuron_is_the_best_by_f1_or_the_given_one():
    X, y = planted_code_and_prose()
    assert SingleNeuronProbe().fit(X, y).support_.tolist() == [12]
    assert SingleNeuronProbe(neuron=30).fit(X, y).coef_[0, 30] < 0
    with pytest.raises(ProbeError, match="no neuron 40 among 40"):
        SingleNeuronProbe(neuron=40).fit(X, y)


def test_more_classes_by_one_against_the_rest():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    X = rng.standard_normal((400, 30))
    X[np.arange(400), y * 7] += 4
    ensemble = OneVsRestClassifier(TopKProbe(k=1)).fit(X, y)
    assert [probe.support_.tolist() for probe in ensemble.estimators_] == [[0], [7], [14], [21]]
    assert ensemble.score(X, y) > 0.85


def test_grid_search_with_groups():
    X, y = planted_code_and_prose()
    search = GridSearchCV(TopKProbe(), {"k": [1, 8]}, cv=GroupKFold(3)).fit(X, y, groups=np.arange(300) // 5)
    assert search.best_score_ > 0.85


def test_sparse_regressor_is_ridge_on_the_support():
    X, _ = planted_code_and_prose()
    target = 2.0 * X[:, 5] / X[:, 5].std() - X[:, 20] / X[:, 20].std()
    probe = SparseRegressor(k=3, alpha=2.0, scaling="none").fit(X, target)
    peer = Ridge(alpha=2.0).fit(X[:, probe.support_].astype(float), target)
    np.testing.assert_allclose(probe.predict(X), peer.predict(X[:, probe.support_]), atol=1e-4)
    assert probe.support_[:2].tolist() == [5, 20]


def test_errors_are_of_the_project_and_value_errors():
    X, y = planted_code_and_prose()
    with pytest.raises(SparseProbingError, match="Only binary classification is supported. The type of the target is"):
        DenseProbe().fit(X, np.arange(300) % 3)
    with pytest.raises(ValueError, match="rows of two classes"):
        DenseProbe().fit(X, np.ones(300, dtype=int))
    with pytest.raises(ProbeError, match="no ranking 'best'"):
        TopKProbe(ranking="best").fit(X, y)
    with pytest.raises(ProbeError, match="no selection 'best'"):
        SparseRegressor(selection="best").fit(X, X[:, 0])
    with pytest.raises(ProbeError, match="top 0 of 40"):
        TopKProbe(k=0).fit(X, y)
