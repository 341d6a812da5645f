"""The inputs of a run: the requested data set and activations, or an error that says why not."""

import shutil

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, StoreError
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_inputs import open_inputs
from sparse_probing.runs.tasks.published_results import read_record
from sparse_probing.runs.tasks.run_task import run_task


@pytest.fixture
def config(plant):
    return plant()


def test_data_set_and_store_are_opened(config):
    inputs = open_inputs(config)
    assert inputs.dataset.features == ("strong", "weak")
    assert inputs.store.plan.layers == (0, 1)
    assert inputs.random_init is None


def test_a_store_of_another_model_of_the_same_short_name_is_refused(config):
    with pytest.raises(StoreError, match="holds activations of tiny, not of elsewhere/tiny"):
        create_run(config.with_flags(model="elsewhere/tiny"))


def test_a_data_set_that_changed_after_the_run_was_created_is_not_probed(config, plant):
    run = create_run(config)
    key = next(iter(run.tasks))
    path = config.activations.feature_dataset_dir / config.activations.feature_dataset
    store = config.store_folder().rename(config.store_folder().with_name("aside"))
    plant(third=np.tile([1.0, -1.0], 40))
    shutil.rmtree(config.store_folder())
    store.rename(config.store_folder())
    assert load_feature_dataset(str(path), path.parent).features == ("strong", "third", "weak")
    with pytest.raises(DatasetError, match="was made again after its activations were stored"):
        run_task(str(run.path), key)
    assert read_record(run.path, key, run.tasks[key]) is None


def test_a_store_that_changed_after_the_run_was_created_is_not_probed(config):
    run = create_run(config)
    key = next(iter(run.tasks))
    store = ZarrStore.open(config.store_folder())
    hook = config.activations.probe_location
    start, stop = store.plan.part_range(0)
    zeros = np.zeros((stop - start, store.plan.widths[hook]), np.float32)
    store.write_part(0, {(hook, layer): zeros for layer in store.plan.layers})
    with pytest.raises(StoreError, match="was written again after the run was created"):
        run_task(str(run.path), key)
    assert read_record(run.path, key, run.tasks[key]) is None


def test_a_feature_named_twice_is_probed_once(config):
    once = create_run(config.with_flags(feature_subset=("weak", "strong")))
    twice = create_run(config.with_flags(feature_subset=("strong", "weak", "weak")))
    assert once.tasks == twice.tasks


class ConnectionLostError(Exception):
    """Of the library of an object store: neither an OSError nor one of ours."""


def test_an_object_store_that_cannot_be_reached_is_not_taken_for_a_missing_one(config, monkeypatch):
    def unreachable(*_arguments, **_options):
        raise ConnectionLostError("Could not connect.\nMore lines.")

    monkeypatch.setattr(MemoryFileSystem, "info", unreachable)
    with pytest.raises(
        StoreError, match="cannot be read or written: ConnectionLostError: Could not connect. Check the"
    ) as e:
        open_inputs(config.with_flags(activations_dir="memory://bucket"))
    assert "\n" not in str(e.value)
