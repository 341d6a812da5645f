"""`sp.probe`: a store and arrays of the same rows give the same probes; results in a notebook; helpful errors."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from probing_datasets.foundation.errors import DatasetError, ProbeError, SettingsError, StoreError
from sparse_probing.activations.harvest import harvest
from sparse_probing.api import probe as module
from sparse_probing.api.probe import probe
from sparse_probing.api.result import load_result


@pytest.fixture
def store(tiny_harvest):
    return harvest(tiny_harvest.with_flags(activation_aggregation="mean"))


@pytest.fixture
def places(tiny_harvest, tiny_dataset_root):
    return {"feature_dataset_dir": tiny_dataset_root, "results_dir": tiny_harvest.activations.results_dir}


def test_a_store_and_its_arrays_give_the_same_probes(store, tiny_dataset, places):
    of_store = probe(
        store,
        tiny_dataset,
        "heuristic_sparsity_sweep",
        max_k=4,
        feature_subset=("French",),
        layers=(1,),
        controls=(),
        **places,
    )
    X, y, groups = store.rows_of(tiny_dataset, "French", layer=1)
    of_arrays = probe(X, y, "heuristic_sparsity_sweep", groups=groups, max_k=4, controls=())
    for column in ("k", "objective", "train_f1_score", "test_f1_score", "test_roc_auc", "intercept"):
        np.testing.assert_allclose(of_arrays.rows[column], of_store.rows[column], rtol=1e-6)
    assert [s.tolist() for s in of_arrays.rows["support"]] == [s.tolist() for s in of_store.rows["support"]]
    assert (of_arrays.path, of_store.path is None) == (None, False)


def test_the_same_call_reads_what_it_computed(store, tiny_dataset, places):
    first = probe(store, tiny_dataset.name, "enumerate_monosemantic", n_neurons=3, **places)
    files = {path: path.stat().st_mtime_ns for path in first.path.rglob("rows.parquet")}
    again = probe(str(store.path), tiny_dataset, "enumerate_monosemantic", n_neurons=3, **places)
    assert {path: path.stat().st_mtime_ns for path in again.path.rglob("rows.parquet")} == files
    assert load_result(first.path).rows.equals(again.rows)
    assert str(again.path) in repr(again)
    assert "probes of enumerate_monosemantic; 9 features (Dutch, English" in repr(again)
    html = again._repr_html_()
    assert html.count("<tr") == 1 + 9
    assert len(again) == len(again.rows)


def test_selectivity_compares_with_the_control(store, tiny_dataset, places):
    result = probe(store, tiny_dataset, "dense_probe", layers=(1,), **places)
    table = result.selectivity()
    assert set(table["control"]) == {"shuffled_labels"}
    np.testing.assert_allclose(table["selectivity"], table["score"] - table["control_score"])


def test_names_in_html_are_escaped():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(200) < 0.5, "<script>", "b")
    assert "<script>" not in probe(rng.standard_normal((200, 6)), y, "dense_probe")._repr_html_()


def test_studies_without_single_neurons_show_their_best_probe(store, tiny_dataset, places):
    result = probe(store, tiny_dataset, "dense_probe", **places)
    assert result.best_neurons().empty
    assert "logistic" in result._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("l1_paths",), {}, SettingsError, "l1_path"),
        ((), {"max_kk": 3}, SettingsError, "no setting 'max_kk'. Settings with similar names: max_k"),
        ((), {"feature_subset": ("Klingon",)}, DatasetError, "Klingon.*Dutch"),
        ((), {"layers": (7,)}, StoreError, "no layer 7; it holds layers 0, 1"),
        ((), {"groups": [1]}, SettingsError, "groups of a store are those of its data set"),
    ],
)
def test_errors_list_what_exists(store, tiny_dataset, places, arguments, settings, error, message):
    with pytest.raises(error, match=message):
        probe(store, tiny_dataset, *arguments, **(places | settings))


def test_another_version_of_the_data_set_is_refused(store, tiny_dataset, places):
    description = replace(tiny_dataset.description, content_hash="0" * 64)
    with pytest.raises(DatasetError, match="another version of natural_lang_id.tiny.64.-1. Pass the data set that was"):
        probe(store, replace(tiny_dataset, description=description), **places)


def test_a_flag_of_the_command_is_refused(store, tiny_dataset, places):
    with pytest.raises(SettingsError, match="dry_run is a flag of the command"):
        probe(store, tiny_dataset, dry_run=True, **places)


@pytest.mark.parametrize(
    ("study", "settings"), [("heuristic_sparsity_sweep", {"basis": "rotation"}), ("rotation_baseline", {"n_trials": 1})]
)
def test_probes_of_other_directions_than_neurons_are_not_applied(store, tiny_dataset, places, study, settings):
    result = probe(store, tiny_dataset, study, max_k=2, layers=(1,), controls=(), **settings, **places)
    with pytest.raises(ProbeError, match="fits no probes of neurons: its probes read random directions"):
        result.saved_probe("French", layer=1)


def test_a_store_may_be_named_by_its_path(store, tiny_dataset, places):
    for path in (store.path, str(store.path)):
        assert len(probe(path, tiny_dataset, "dense_probe", layers=(1,), **places)) == 18


def test_probes_of_arrays_belong_to_no_model():
    rng = np.random.default_rng(0)
    result = probe(rng.standard_normal((100, 5)), rng.integers(0, 2, 100), "dense_probe")
    with pytest.raises(ProbeError, match="belong to no model"):
        result.saved_probe("feature", 0)


def test_example():
    assert doctest.testmod(module).failed == 0
