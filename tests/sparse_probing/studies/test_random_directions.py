"""Baselines of random directions: fresh subspaces of every k, and single directions of Gaussian products."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sparse_probing.config import ProbingConfig
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.variants import Variant
from tests.builders.studies import PLANTED, WIDTH, planted_data, rank_and_fit

SUBSPACES = STUDIES["rotation_baseline"]
DIRECTIONS = STUDIES["iterative_pruning_rotation_baseline_dxd"]
PAPERS_NUMBERS = {1: 16, 2: 11, 3: 9, 4: 8, 5: 7, 6: 7, 7: 6, 8: 6, 10: 5, 12: 5, 16: 4}
"""Of subspaces, by dimension: 16 divided by the square root of k, rounded."""


def test_the_number_of_subspaces_is_the_papers(config):
    probes = rank_and_fit(SUBSPACES, config, planted_data())
    for k, n in PAPERS_NUMBERS.items():
        assert [p.further["trial"] for p in probes if len(p.support) == k] == list(range(n))
    assert len(probes) == sum(PAPERS_NUMBERS.values())
    assert {p.further["basis"] for p in probes} == {"subspace"}
    assert {p.ranking for p in probes} == {""}


def test_every_k_has_at_least_one_subspace(config):
    probes = rank_and_fit(SUBSPACES, config.with_flags(ks=(WIDTH,)), planted_data())
    assert len(probes) == 3  # 16 / sqrt(30) = 2.92


def test_subspaces_are_fresh_and_not_nested(config):
    probes = rank_and_fit(SUBSPACES, config.with_flags(ks=(1, 2)), planted_data())
    areas = [p.metrics["train_roc_auc"] for p in probes]
    assert len(set(areas)) == len(areas)
    # A nested subspace would contain the first, so that it could not be worse in training.
    log_loss = {k: np.array([p.metrics["train_log_loss"] for p in probes if len(p.support) == k]) for k in (1, 2)}
    assert (log_loss[2] > log_loss[1][:11]).any()


def test_a_subspace_as_wide_as_the_layer_is_a_dense_probe(config):
    """An orthonormal basis changes neither the ridge nor the scores."""
    data = planted_data(shift=1.0)
    neurons = data.select()
    reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
    reference.fit(neurons.x_train.astype(np.float64), neurons.y_train)
    area = roc_auc_score(neurons.y_test, reference.decision_function(neurons.x_test.astype(np.float64)))
    for probe in rank_and_fit(SUBSPACES, config.with_flags(ks=(WIDTH,)), data):
        assert probe.metrics["test_roc_auc"] == pytest.approx(area, abs=1e-3)
        assert probe.coef @ probe.coef == pytest.approx(reference.coef_[0] @ reference.coef_[0], rel=1e-3)


def test_the_standard_error_is_that_of_the_mean_over_subspaces(config):
    probes = rank_and_fit(SUBSPACES, config.with_flags(ks=(1, 4)), planted_data())
    for k, n in ((1, 16), (4, 8)):
        f1 = [p.metrics["test_f1_score"] for p in probes if len(p.support) == k]
        (error,) = {p.further["test_f1_score_standard_error"] for p in probes if len(p.support) == k}
        assert error == pytest.approx(np.std(f1, ddof=1) / np.sqrt(n))
        assert error > 0


def test_one_subspace_has_no_standard_error():
    rng = np.random.default_rng(0)
    data = planted_data()
    wide = np.asfortranarray(rng.standard_normal((len(data.layer), 120)).astype(np.float32))
    probes = rank_and_fit(SUBSPACES, ProbingConfig.from_flags(ks=(120,)), type(data)(**{**vars(data), "layer": wide}))
    assert [p.further["test_f1_score_standard_error"] for p in probes] == [None]


def test_products_of_all_trials_are_beside_the_neurons(config):
    probes = rank_and_fit(DIRECTIONS, config.with_flags(n_trials=2), planted_data())
    nominal = [p for p in probes if p.further["basis"] == "neurons"]
    assert len(nominal) == WIDTH  # 100 in a wider layer
    assert nominal[0].support.tolist() == [PLANTED]
    for trial in (0, 1):
        of_trial = [p for p in probes if p.further["basis"] == "projection" and p.further["trial"] == trial]
        assert [p.rank for p in of_trial] == list(range(1, WIDTH + 1))
        # A random direction has little of the planted neuron.
        assert max(p.metrics["train_roc_auc"] for p in of_trial) < nominal[0].metrics["train_roc_auc"] - 0.1


def test_directions_are_gaussian_products_of_the_scaled_neurons(config):
    data = planted_data(scaling="unit")
    neurons = data.select()
    probes = rank_and_fit(DIRECTIONS, config.with_flags(n_trials=1), data)
    directions = data.rng("product 0").standard_normal((WIDTH, WIDTH), dtype=np.float32)
    product = neurons.x_train.astype(np.float64) @ directions
    assert product.std() == pytest.approx(np.sqrt(WIDTH), rel=0.1)  # not scaled again
    difference = np.abs(product[neurons.y_train > 0].mean(0) - product[neurons.y_train < 0].mean(0))
    first = next(p for p in probes if p.further["basis"] == "projection")
    assert first.support.tolist() == [np.argmax(difference)]
    reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
    reference.fit(product[:, first.support], neurons.y_train)
    assert first.coef == pytest.approx(reference.coef_[0], rel=1e-3)


def test_whole_layers_are_projected_on_gaussian_directions(config):
    bases = STUDIES["rotation_baseline_dxd"].variants(config.with_flags(n_trials=3), with_random_init=False)
    assert bases == [Variant(basis="projection", trial=trial) for trial in range(3)]
