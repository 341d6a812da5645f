"""A feature that cannot be probed does not stop the others; every control changes what it says."""

import numpy as np
import pytest

from probing_datasets.feature_dataset.probed_rows import FeatureRows
from sparse_probing.config import ProbingConfig
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.fit_study import ask, fit_variant
from sparse_probing.studies.base.variants import CONTROLS, NEURONS, control_in_basis

N, WIDTH = 240, 12
CONFIG = ProbingConfig.from_flags(
    n_neurons=4, ks=(1, 3), iterative_pruning_n_prune_steps=2, iterative_pruning_fixed_k=3
)


def made_rows(label, row=None):
    row = np.arange(N) if row is None else row
    return FeatureRows(row, np.asarray(label, float), row, row // 2)


@pytest.fixture
def layer():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


def labels(kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "regression":
        return rng.standard_normal(N)
    return rng.integers(0, 3, N) if kind == "multiclass" else np.where(rng.random(N) < 0.4, 1, -1)


def fitted(study, layer, features, variant=NEURONS, config=CONFIG):
    failed = {}
    asked = ask(config, study, {name: (study.kind, rows) for name, rows in features.items()}, failed)
    fittings = fit_variant(config, study, asked, layer, variant, 0)
    return fittings, failed | fittings.failed


@pytest.mark.parametrize("name", STUDIES)
def test_nan_in_the_rows_of_one_feature_leaves_the_other(name, layer):
    study = STUDIES[name]
    half = N // 2
    layer[half + 10] = np.nan  # every neuron, on whichever side the row is
    features = {
        "good": made_rows(labels(study.kind, 1)[:half], np.arange(half)),
        "bad": made_rows(labels(study.kind, 2)[half:], np.arange(half, N)),
    }
    fittings, failed = fitted(study, layer, features)
    assert {f.problem.feature for f in fittings.done} == {"good"}
    assert set(failed) == {"bad"}
    assert "Harvest with a wider dtype" in failed["bad"] or "nan" in failed["bad"].lower()


@pytest.mark.parametrize("name", [n for n, s in STUDIES.items() if s.kind == "binary"])
def test_a_constant_neuron_does_not_stop_a_study(name, layer):
    layer[:, 2] = 0.5
    fittings, failed = fitted(STUDIES[name], layer, {"a": made_rows(labels("binary", 1))})
    assert fittings.done
    assert not failed
    assert all(np.isfinite(f.probe.coef).all() for f in fittings.done)


def test_one_class_is_named_and_the_other_feature_fitted(layer):
    features = {"one_class": made_rows(np.full(N, -1)), "good": made_rows(labels("binary", 1))}
    fittings, failed = fitted(STUDIES["heuristic_sparsity_sweep"], layer, features)
    assert {f.problem.feature for f in fittings.done} == {"good"}
    assert "at least 2 groups" in failed["one_class"]


def test_failures_of_several_folds_are_all_named(layer):
    layer[:] = 1  # nothing varies
    config = CONFIG.with_flags(test_folds=2)
    _, failed = fitted(STUDIES["l1_path"], layer, {"a": made_rows(labels("binary", 1))}, config=config)
    assert "fold 0" in failed["a"]
    assert "fold 1" in failed["a"]


@pytest.mark.parametrize(
    ("name", "control"), [(n, c) for n, s in STUDIES.items() for c in s.controls if not CONTROLS[c].random_init]
)
def test_every_control_of_every_study_changes_something(name, control, layer):
    study = STUDIES[name]
    features = {"a": made_rows(labels(study.kind, 1))}
    plain, _ = fitted(study, layer, features)
    other = layer @ np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    changed, _ = fitted(study, other if control == "rotation" else layer, features, CONTROLS[control])
    pairs = zip(plain.done, changed.done, strict=False)
    same = [
        np.array_equal(a.probe.support, b.probe.support) and np.array_equal(a.probe.coef, b.probe.coef)
        for a, b in pairs
    ]
    assert not all(same)


@pytest.mark.parametrize("name", ["dense_probe", "all_neurons", "l1_path", "lasso_path", "telescopic_sparsity_sweep"])
def test_random_neurons_are_no_control_where_they_would_change_nothing(name):
    assert "random_neurons" not in STUDIES[name].controls


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_stays_in_the_basis_unless_that_is_what_it_changes(control):
    assert control_in_basis(control, "projection").basis == ("rotation" if control == "rotation" else "projection")
    assert control_in_basis(control, "neurons") == CONTROLS[control]


def test_a_rare_feature_keeps_its_neurons_without_intervals(layer):
    label = np.full(N, -1.0)
    label[[0, 1, 100, 101, 200, 201]] = 1  # three groups: one of them is tested
    fittings, failed = fitted(STUDIES["all_neurons"], layer, {"rare": made_rows(label)})
    assert not failed
    assert len(fittings.done) == WIDTH
    for f in fittings.done:
        assert np.isnan(f.probe.further["p_value"])
        assert np.isnan(f.probe.further["p_value_corrected"])
        assert "No interval" in f.probe.status


def test_more_neurons_than_the_layer_has(layer):
    config = CONFIG.with_flags(iterative_pruning_fixed_k=5000, ks=(5000,), n_neurons=5000, max_k=5000)
    for name in ("iterative_pruning", "heuristic_sparsity_sweep", "enumerate_monosemantic", "l1_path"):
        fittings, failed = fitted(STUDIES[name], layer, {"a": made_rows(labels("binary", 1))}, config=config)
        assert fittings.done
        assert not failed
        assert all(len(f.probe.support) <= WIDTH for f in fittings.done)


@pytest.mark.parametrize("name", ["l1_path", "lasso_path"])
def test_a_path_of_one_neuron(name, layer):
    study = STUDIES[name]
    config = CONFIG.with_flags(max_k=1)
    fittings, failed = fitted(study, layer, {"a": made_rows(labels(study.kind, 1))}, config=config)
    assert not failed
    assert {len(f.probe.support) for f in fittings.done} == {1}
    assert {f.probe.further["normalized"] for f in fittings.done} == {True}
