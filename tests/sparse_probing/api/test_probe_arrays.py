"""Probing a user's arrays: the numbers of a run on a store, every coding of labels, groups, controls and errors."""

import doctest
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from probing_datasets.foundation.errors import ProbeError, SettingsError
from sparse_probing.api import probe_arrays as module
from sparse_probing.api.probe_arrays import probe_arrays
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.interruption import interrupted, signals_noted
from tests.builders import planted_runs
from tests.builders.studies import random_labels

N, WIDTH, PLANTED = 200, 16, 3
TIMES = ["seconds", "seconds_to_support"]


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((N, WIDTH)).astype(np.float32)


KINDS = {
    "heuristic_sparsity_sweep": "binary",
    "all_neurons": "binary",
    "l1_path": "binary",
    "rotation_baseline_dxd": "binary",
    "optimal_sparse_probing": "binary",
    "multinomial_sweep": "multiclass",
    "heuristic_sparse_regression_sweep": "regression",
}


@pytest.mark.parametrize("study", KINDS)
def test_arrays_give_the_rows_of_a_run_to_the_last_bit(study):
    flags = {
        "model": "tiny",
        "feature_dataset": "made.tiny.16.-1",
        "activation_aggregation": "mean",
        "probe_location": "mlp.hook_post",
        "seed": 3,
        "max_k": 4,
        "n_trials": 1,
        "n_permutations": 9,
        "osp_upto_k": 2,
        "normalize_activations": study != "optimal_sparse_probing",
        "controls": ("shuffled_labels", "rotation"),
        "test_folds": 2,
    }
    config = planted_runs.planted_settings(**flags, experiment_type=(study,), layers=(1,), feature_subset=("third",))
    label = random_labels(KINDS[study], planted_runs.N_SEQUENCES, 0).astype(float)
    planted_runs.plant(config, {"third": label}, {"third": KINDS[study]})
    of_run = load_results(run_probing(config))
    X, y, groups = planted_runs.stored_arrays(config, "third", layer=1)
    rows, failures = probe_arrays(X, y, groups, study=study, layer=1, feature="third", **flags)
    assert failures == {}
    assert len(rows) > 0
    pd.testing.assert_frame_equal(rows.drop(columns=TIMES), of_run.drop(columns=TIMES), check_exact=True)


def test_a_multiclass_feature_gives_the_rows_of_a_run_with_a_binary_study():
    flags = {
        "model": "tiny",
        "feature_dataset": "made.tiny.16.-1",
        "activation_aggregation": "mean",
        "probe_location": "mlp.hook_post",
        "max_k": 4,
    }
    config = planted_runs.planted_settings(**flags, layers=(0,), feature_subset=("third",))
    label = random_labels("multiclass", planted_runs.N_SEQUENCES, 0).astype(float)
    planted_runs.plant(config, {"third": label}, {"third": "multiclass"})
    of_run = load_results(run_probing(config))
    rows, _ = probe_arrays(*planted_runs.stored_arrays(config, "third", layer=0), feature="third", **flags)
    assert set(rows["feature"]) == {"third=0", "third=1", "third=2"}
    pd.testing.assert_frame_equal(rows, of_run, check_exact=True)


@pytest.mark.parametrize(
    ("negative", "positive", "name"),
    [
        (0, 1, "feature"),
        (False, True, "feature"),
        (-1, 1, "feature"),
        (0.0, 1.0, "feature"),
        ("no", "yes", "feature=yes"),
        (3, 7, "feature=7"),
    ],
)
def test_two_classes_in_any_coding(X, negative, positive, name):
    y = [positive if value > 0 else negative for value in X[:, PLANTED]]
    rows, failures = probe_arrays(X, y, max_k=1, controls=())
    assert failures == {}
    (row,) = rows.to_dict("records")
    assert row["feature"] == name
    assert row["support"].tolist() == [PLANTED]
    assert row["coef"][0] > 0
    assert row["n_positive_train"] + row["n_positive_test"] == (X[:, PLANTED] > 0).sum()


def test_several_named_classes_become_a_feature_each_or_one_of_several_classes(X):
    y = np.array(["French", "German", "Dutch"])[np.digitize(X[:, PLANTED], [-0.5, 0.5])]
    rows, failures = probe_arrays(X, y, max_k=2, controls=())
    assert failures == {}
    assert set(rows["feature"]) == {"feature=Dutch", "feature=French", "feature=German"}
    rows, failures = probe_arrays(X, y, study="multinomial_sweep", max_k=2, controls=())
    assert failures == {}
    assert rows["classes"][0].tolist() == [0, 1, 2]
    assert set(rows["probe"]) == {"multinomial", "one_vs_rest"}


def test_tensors_of_any_precision_and_memory_order_give_the_same_numbers(X):
    X = torch.from_numpy(X).to(torch.bfloat16)
    y = X[:, PLANTED] > 0
    expected, _ = probe_arrays(X.float().numpy(), y.numpy(), max_k=4)
    for activations in (X, X.float().requires_grad_(), np.asfortranarray(X.float().numpy())):
        rows, failures = probe_arrays(activations, y, max_k=4)
        assert failures == {}
        pd.testing.assert_frame_equal(rows, expected, check_exact=True)


@pytest.mark.parametrize("kind", [list, np.asarray, torch.from_numpy, pd.Series])
def test_two_groups_cannot_be_divided(X, kind):
    label = np.repeat(np.arange(N // 50) % 2, 50)
    _, failures = probe_arrays(X, label, groups=kind(label))
    assert "at least 2 groups" in failures["feature"]


def test_groups_of_any_values_are_not_divided(X):
    label = np.repeat(np.arange(N // 50) % 2, 50)
    rows, failures = probe_arrays(X, label, groups=[("document", i // 10) for i in range(N)], max_k=1)
    assert failures == {}
    assert set(rows["n_train"] % 10) == {0}


def test_a_control_finds_nothing(X):
    rows, _ = probe_arrays(X, X[:, PLANTED] > 0, max_k=1, controls=("shuffled_labels", "random_neurons", "rotation"))
    f1 = rows.set_index("control")["test_f1_score"]
    assert f1[""] > 0.95 > 0.75 > f1["shuffled_labels"]
    assert set(f1.index) == {"", "shuffled_labels", "random_neurons", "rotation"}


def test_one_class_and_activations_that_are_not_finite_are_failures_of_the_feature(X):
    rows, failures = probe_arrays(X, np.zeros(N))
    assert rows.empty
    assert "0 positive rows" in failures["feature"]
    X[5, 2] = np.nan
    rows, failures = probe_arrays(X, X[:, PLANTED] > 0)
    assert rows.empty
    assert "nan" in failures["feature"].lower()


def test_rows_do_not_claim_a_model_or_a_data_set_that_was_not_named(X):
    rows, _ = probe_arrays(X, X[:, PLANTED] > 0, max_k=1, layer=7)
    columns = ["model", "dataset", "hook_point", "aggregation", "layer"]
    assert rows[columns].drop_duplicates().values.tolist() == [["", "", "", "", 7]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"study": "l1_pth"}, SettingsError, "no study 'l1_pth'. Studies: l1_path, lasso_path, .*dense_probe"),
        ({"maxk": 3}, SettingsError, "no setting 'maxk'. Settings with similar names: max_k, "),
        ({"max_k": 0}, SettingsError, "--max_k must be at least 1"),
        ({"controls": ("random_init",)}, SettingsError, "random_init needs a model"),
        ({"study": "l1_path", "regularization_grid": (1.0,)}, SettingsError, "cannot choose from"),
        ({"X": np.zeros((N, 2, 2), np.float32)}, ProbeError, r"non-empty matrix \(rows, neurons\); got shape"),
        ({"X": np.zeros((N, 2), np.int64)}, ProbeError, "float16, float32 or float64 numbers; got int64"),
        ({"y": np.zeros(N - 1)}, ProbeError, "200 rows and labels of shape"),
        ({"y": np.linspace(0, 1, N)}, ProbeError, "200 values that are not classes. Choose a regression study"),
        ({"y": [np.nan] * N}, ProbeError, "must not be NaN"),
        ({"y": ["a", 1] * (N // 2), "dtype": object}, ProbeError, "cannot be sorted"),
        ({"y": ["a", "b"] * (N // 2), "study": "lasso_path"}, ProbeError, "must be real numbers"),
        ({"groups": [1, 2]}, ProbeError, "200 rows and 2 groups"),
    ],
)
def test_unusable_arguments_are_errors_that_name_a_remedy(X, change, error, message):
    arguments = {"X": X, "y": X[:, PLANTED] > 0, **change}
    if arguments.pop("dtype", None):
        arguments["y"] = np.array(arguments["y"], dtype=object)
    with pytest.raises(error, match=message):
        probe_arrays(**arguments)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_takes_arrays(X, study):
    y = random_labels(STUDIES[study].kind, N, 1)
    rows, failures = probe_arrays(X, y, study=study, ks=(1, 2), n_neurons=3, n_trials=1, osp_upto_k=1, max_k=2)
    assert failures == {}
    assert set(rows["study"]) == {study}


def test_examples():
    assert doctest.testmod(module).failed == 0


def test_a_signal_is_not_left_over_when_the_fit_raises_after_it(X, monkeypatch):
    def fail(*_):
        with signals_noted():
            signal.raise_signal(signal.SIGINT)
        raise MemoryError

    monkeypatch.setattr("sparse_probing.studies.fit_layer.fit_variant", fail)
    slow = next(name for name, study in STUDIES.items() if study.slow and study.kind == "binary")
    with pytest.raises(KeyboardInterrupt):
        probe_arrays(X, np.arange(N) % 2, study=slow)
    assert not interrupted()
