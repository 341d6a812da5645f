"""Processes that share the parts of a harvest."""

import dataclasses
import os
import shutil
import subprocess
import sys

import pytest

import get_activations
from probing_datasets.foundation.errors import SettingsError, StoreError, StoreFormatError
from sparse_probing.activations.harvest import harvest, prepare_harvest
from sparse_probing.activations.harvesting.existing_stores import has_other_store, outcome
from sparse_probing.activations.stores import open_store, plan
from tests.builders.harvests import HOOK, file_contents


@pytest.fixture
def config(tiny_harvest, small_parts):
    return tiny_harvest.with_flags(activation_aggregation="mean", layers=(1,))


def process(config, rank, **changes):
    return config.with_flags(rank=rank, world_size=2, **changes)


def contents(folder):
    """Return the bytes of all files except the record of the settings and versions."""
    return {name: data for name, data in file_contents(folder).items() if name != "provenance.json"}


@pytest.mark.parametrize("first", [0, 1])
def test_two_processes_make_the_bytes_of_one(config, first):
    whole = contents(harvest(config).path)
    shutil.rmtree(config.store_folder())
    shares = {0: [0, 2], 1: [1]}
    store = harvest(process(config, first))
    assert store.open_parts() == shares[1 - first]
    prepared = prepare_harvest(process(config, first))
    assert outcome(prepared) == (
        f"process {first} of 2 has done its share; other processes have {len(shares[1 - first])} of 3 parts "
        f"to write: {config.store_folder()}"
    )
    harvest(process(config, 1 - first))
    assert contents(config.store_folder()) == whole
    assert outcome(prepared) == f"complete: {config.store_folder()}"


def test_a_process_checks_only_its_parts(config):
    store = harvest(config)
    for part in (0, 1):
        shard = store.path / f"mlp.hook_post/layer_01/c.{part}.0"
        shard.write_bytes(shard.read_bytes()[::-1])
    (store.path / "mlp.hook_post/layer_01/c.2.0").unlink()
    harvest(process(config, 1))
    assert [damage.part for damage in store.verify()] == [0, 1, 2]
    harvest(process(config, 1, resume=True))
    assert [damage.part for damage in store.verify()] == [0, 2]
    harvest(process(config, 0, resume=True))
    assert store.verify() == []


@pytest.mark.slow
def test_processes_that_begin_together(config, tiny_model_dir, tiny_dataset_root):
    script = get_activations.__file__
    flags = ["--model", str(tiny_model_dir), "--feature_dataset", config.activations.feature_dataset, "--layers", "1"]
    flags += ["--feature_dataset_dir", str(tiny_dataset_root), "--results_dir", str(config.activations.results_dir)]
    flags += ["--experiment_type", "all_activations", "--n_threads", "1", "--world_size", "2", "--rank"]
    started = [
        subprocess.Popen([sys.executable, script, *flags, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    together = config.with_flags(activation_aggregation="none", experiment_type="all_activations")
    store = open_store(together.store_folder())
    assert store.plan.n_parts > 2
    assert store.is_complete
    assert store.verify() == []
    assert not list(store.path.rglob(".tmp-*"))


def test_the_share_comes_from_the_array_of_a_batch_system(config, monkeypatch):
    for name, value in {"ID": "5", "MIN": "4", "COUNT": "2"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert (type(config)().share.rank, type(config)().share.world_size) == (1, 2)


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_outside_the_range(config, rank):
    with pytest.raises(SettingsError, match="--rank must be from 0 to 1"):
        process(config, rank)


def test_the_share_of_an_array_with_a_step(config, monkeypatch):
    for name, value in {"ID": "7", "MIN": "1", "COUNT": "3", "STEP": "3"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert (type(config)().share.rank, type(config)().share.world_size) == (2, 3)


def test_an_array_with_gaps_needs_ranks(config, monkeypatch):
    for name, value in {"ID": "7", "MIN": "1", "COUNT": "3", "STEP": "1"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    with pytest.raises(SettingsError, match=r"from 0 to 2, not 6\. .*--rank and --world_size"):
        type(config)()


def test_a_store_of_other_rows_is_another(config):
    prepared = prepare_harvest(config)
    harvest(config)
    assert not has_other_store(prepared, HOOK)
    moved = dataclasses.replace(prepared.rows, position=prepared.rows.position + 1)
    assert has_other_store(dataclasses.replace(prepared, rows=moved), HOOK)


def test_a_store_with_a_damaged_row_index_is_not_deleted(config):
    store = harvest(config)
    part = store.path / "parts" / "000000.json"
    written = part.stat().st_mtime_ns
    (store.path / "rows.parquet").write_bytes(b"")
    assert harvest(config.with_flags(overwrite=True)).verify() == []
    assert part.stat().st_mtime_ns == written


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_cannot_be_read_is_not_deleted(config):
    store = harvest(config)
    header = store.path / "plan.json"
    header.chmod(0)
    with pytest.raises(StoreError, match="Permission denied"):
        harvest(config.with_flags(overwrite=True))
    header.chmod(0o600)
    assert store.verify() == []


def test_a_header_that_is_a_folder_is_not_deleted(config):
    header = harvest(config).path / "plan.json"
    header.rename(header.with_suffix(".kept"))
    header.mkdir()
    with pytest.raises(StoreError, match="not a regular file"):
        harvest(config.with_flags(overwrite=True))
    assert header.with_suffix(".kept").exists()


def test_a_store_of_another_format_is_overwritten(config, monkeypatch):
    with monkeypatch.context() as another:
        another.setattr(plan, "FORMAT_VERSION", 0)
        harvest(config)
    with pytest.raises(StoreFormatError, match="format version 0"):
        harvest(config)
    assert harvest(config.with_flags(overwrite=True)).verify() == []


def test_another_encoding_is_refused_until_overwritten(config):
    harvest(config)
    other = config.with_flags(store="hdf5")
    with pytest.raises(StoreError, match="is a zarr store, not hdf5"):
        harvest(other)
    store = harvest(other.with_flags(overwrite=True))
    assert store.kind == "hdf5"
    assert store.verify() == []
    assert not (store.path / "zarr.json").exists()
