"""Fitting a study to several features: one that cannot be probed does not stop the others; every control matters."""

import numpy as np
import pytest

from sparse_probing.config import ProbingConfig
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_splits import split_features
from sparse_probing.studies.base.fit_variant import fit_variant
from sparse_probing.studies.base.variant_data import feature_data
from sparse_probing.studies.base.variants import CONTROLS, NEURONS, control_in_basis
from tests.builders.studies import random_labels, rows_of_feature

N, WIDTH = 240, 12
CONFIG = ProbingConfig.from_flags(
    n_neurons=4, ks=(1, 3), iterative_pruning_n_prune_steps=2, iterative_pruning_fixed_k=3
)


@pytest.fixture
def layer():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


def fitted(study, layer, features, variant=NEURONS, config=CONFIG):
    """Return the fittings of some features, and all failures."""
    kinds = {name: (study.kind, rows) for name, rows in features.items()}
    splits, failures = split_features(kinds, study.kind, config.split, config.activations.seed)
    data = [feature_data(split, layer, variant, scaling="none", seed=0) for split in splits]
    fittings = fit_variant(config, study, data)
    return fittings, failures | fittings.failures


def features_of(fittings):
    return {data.feature for data, _ in fittings.probes}


def probes_of(fittings):
    return [probe for _, probe in fittings.probes]


@pytest.mark.parametrize("name", STUDIES)
def test_nan_in_the_rows_of_one_feature_leaves_the_other(name, layer):
    study = STUDIES[name]
    half = N // 2
    layer[half + 10] = np.nan  # every neuron, on whichever side the row is
    features = {
        "good": rows_of_feature(random_labels(study.kind, N, 1)[:half], np.arange(half)),
        "bad": rows_of_feature(random_labels(study.kind, N, 2)[half:], np.arange(half, N)),
    }
    fittings, failed = fitted(study, layer, features)
    assert features_of(fittings) == {"good"}
    assert set(failed) == {"bad"}
    assert "Harvest with a wider dtype" in failed["bad"] or "nan" in failed["bad"].lower()


@pytest.mark.parametrize("name", [n for n, s in STUDIES.items() if s.kind == "binary"])
def test_a_constant_neuron_does_not_stop_a_study(name, layer):
    layer[:, 2] = 0.5
    fittings, failed = fitted(STUDIES[name], layer, {"a": rows_of_feature(random_labels("binary", N, 1))})
    assert fittings.probes
    assert not failed
    assert all(np.isfinite(probe.coef).all() for probe in probes_of(fittings))


def test_one_class_is_named_and_the_other_feature_fitted(layer):
    features = {"one_class": rows_of_feature(np.full(N, -1)), "good": rows_of_feature(random_labels("binary", N, 1))}
    fittings, failed = fitted(STUDIES["heuristic_sparsity_sweep"], layer, features)
    assert features_of(fittings) == {"good"}
    assert "at least 2 groups" in failed["one_class"]


def test_failures_of_several_folds_are_all_named(layer):
    layer[:] = 1  # nothing varies
    config = CONFIG.with_flags(test_folds=2)
    _, failed = fitted(STUDIES["l1_path"], layer, {"a": rows_of_feature(random_labels("binary", N, 1))}, config=config)
    assert "fold 0" in failed["a"]
    assert "fold 1" in failed["a"]


@pytest.mark.parametrize(
    ("name", "control"), [(n, c) for n, s in STUDIES.items() for c in s.controls if not CONTROLS[c].random_init]
)
def test_every_control_of_every_study_changes_something(name, control, layer):
    study = STUDIES[name]
    features = {"a": rows_of_feature(random_labels(study.kind, N, 1))}
    plain, _ = fitted(study, layer, features)
    other = layer @ np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    changed, _ = fitted(study, other if control == "rotation" else layer, features, CONTROLS[control])
    same = [
        np.array_equal(a.support, b.support) and np.array_equal(a.coef, b.coef)
        for a, b in zip(probes_of(plain), probes_of(changed), strict=False)
    ]
    assert not all(same)


@pytest.mark.parametrize("name", ["dense_probe", "all_neurons", "l1_path", "lasso_path", "telescopic_sparsity_sweep"])
def test_random_neurons_are_not_a_control_where_they_would_change_nothing(name):
    assert "random_neurons" not in STUDIES[name].controls


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_stays_in_the_basis_unless_that_is_what_it_changes(control):
    assert control_in_basis(control, "projection").basis == ("rotation" if control == "rotation" else "projection")
    assert control_in_basis(control, "neurons") == CONTROLS[control]


def test_a_rare_feature_keeps_its_neurons_without_intervals(layer):
    label = np.full(N, -1.0)
    label[[0, 1, 100, 101, 200, 201]] = 1  # three groups: one of them is tested
    fittings, failed = fitted(STUDIES["all_neurons"], layer, {"rare": rows_of_feature(label)})
    assert not failed
    assert len(fittings.probes) == WIDTH
    for probe in probes_of(fittings):
        assert np.isnan(probe.further["p_value"])
        assert np.isnan(probe.further["p_value_corrected"])
        assert "No interval" in probe.status


def test_more_neurons_than_the_layer_has(layer):
    config = CONFIG.with_flags(iterative_pruning_fixed_k=5000, ks=(5000,), n_neurons=5000, max_k=5000)
    for name in ("iterative_pruning", "heuristic_sparsity_sweep", "enumerate_monosemantic", "l1_path"):
        fittings, failed = fitted(
            STUDIES[name], layer, {"a": rows_of_feature(random_labels("binary", N, 1))}, config=config
        )
        assert fittings.probes
        assert not failed
        assert all(len(probe.support) <= WIDTH for probe in probes_of(fittings))


@pytest.mark.parametrize("name", ["l1_path", "lasso_path"])
def test_a_path_of_one_neuron(name, layer):
    study = STUDIES[name]
    config = CONFIG.with_flags(max_k=1)
    fittings, failed = fitted(study, layer, {"a": rows_of_feature(random_labels(study.kind, N, 1))}, config=config)
    assert not failed
    assert {len(probe.support) for probe in probes_of(fittings)} == {1}
    assert {probe.further["scaling"] for probe in probes_of(fittings)} == {"unit"}
