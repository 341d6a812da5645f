"""The dry run of a harvest: its estimates, its text, and that it writes nothing."""

import dataclasses
import json
import shutil

import pytest

from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import ModelError
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.harvesting import prepare as planning
from sparse_probing.activations.harvesting.dry_run import dry_run


@pytest.fixture
def config(tiny_harvest):
    return tiny_harvest.with_flags(further_locations=("hook_resid_post",))


@pytest.mark.parametrize(("store", "precision"), [("zarr", "16"), ("hdf5", "32"), ("zarr", "8"), ("hdf5", "8")])
def test_it_estimates_what_the_harvest_then_writes(config, store, precision):
    config = config.with_flags(store=store, output_precision=precision)
    found = dry_run(config)
    assert not config.activations.results_dir.exists()
    harvest(config)
    for estimate in found.stores:
        files = [path for path in estimate.path.rglob("*") if path.is_file()]
        assert estimate.n_files == len(files)
        assert sum(path.stat().st_size for path in files) <= estimate.needed
    assert found.fits


def test_pythia_6_9b_on_a_million_positions(config, tiny_model_dir, tmp_path, monkeypatch):
    def million_rows(config, dataset):
        return ProbedRows(*(column.repeat(741)[: 10**6] for column in dataclasses.astuple(rows(config, dataset))))

    rows = planning.harvest_rows
    monkeypatch.setattr(planning, "harvest_rows", million_rows)
    large = tmp_path / "tiny"
    shutil.copytree(tiny_model_dir, large, ignore=shutil.ignore_patterns("*.safetensors"))
    settings = json.loads((large / "config.json").read_text())
    settings |= {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 32}
    (large / "config.json").write_text(json.dumps(settings))
    found = dry_run(config.with_flags(model=str(large)))
    mlp, residual = found.stores
    assert (mlp.plan.widths, residual.plan.widths) == ({"mlp.hook_post": 16384}, {"hook_resid_post": 4096})
    assert mlp.layer_bytes == 10**6 * 16384 * 2
    assert mlp.plan.nbytes == 32 * mlp.layer_bytes
    assert mlp.plan.nbytes < mlp.needed < 1.02 * mlp.plan.nbytes
    text = str(found)
    for shown in ("16,384", "1,000,000", "32.768", "8.192", "15,625", "515,6"):
        assert shown in text, text
    with pytest.raises(ModelError):
        harvest(config.with_flags(model=str(large)))


def test_too_little_space_is_reported(config, monkeypatch):
    found = dry_run(config)
    assert ", which is TOO LITTLE. Nothing was written." in str(dataclasses.replace(found, free=1000))
    assert "TOO LITTLE" not in str(found)
    assert " GB free" not in str(dataclasses.replace(found, free=None))


def test_a_path_has_a_line_for_itself(config):
    text = str(dry_run(config))
    assert f"\nhook_resid_post: {config.store_folder('hook_resid_post')}\n" in text
    assert "270 rows" in str(dry_run(config.with_flags(activation_aggregation="mean")))


def test_a_store_that_would_be_refused_is_reported(config):
    harvest(config.with_flags(further_locations=()))
    assert "ANOTHER STORE" not in str(dry_run(config))
    found = dry_run(config.with_flags(output_precision="32"))
    assert [store.has_other_store for store in found.stores] == [True, False]
    assert str(found).count("ANOTHER STORE exists there") == 1


def test_a_store_of_another_machine_s_device_is_resumed_by_a_plan_for_auto(config):
    harvest(config.with_flags(further_locations=(), device="cpu"))
    stores = dry_run(config.with_flags(further_locations=(), device="auto")).stores
    assert [store.has_other_store for store in stores] == [False]
    stores = dry_run(config.with_flags(further_locations=(), device="cuda")).stores
    assert [store.has_other_store for store in stores] == [True]
