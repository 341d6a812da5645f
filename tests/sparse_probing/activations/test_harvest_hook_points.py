"""Several hook points in one pass, each into its own store."""

import numpy as np
import pytest

import sparse_probing.activations.harvest as stage_one
from probing_datasets.foundation.errors import ModelError
from sparse_probing.activations.harvest import harvest, prepare_harvest, run_harvest
from sparse_probing.activations.harvesting import prepare as planning
from sparse_probing.activations.harvesting.compute_parts import compute_parts
from sparse_probing.activations.stores import open_store

POST, RESIDUAL, PRE = "mlp.hook_post", "hook_resid_post", "mlp.hook_pre"


@pytest.fixture
def config(tiny_harvest, small_parts):
    return tiny_harvest.with_flags(activation_aggregation="mean", further_locations=(RESIDUAL, PRE), layers=(1,))


@pytest.fixture
def passes(monkeypatch):
    """Hook points and parts of every pass through the model."""
    seen = []

    def watched(prepared, hook_points, parts, *rest):
        seen.append((hook_points, parts))
        return compute_parts(prepared, hook_points, parts, *rest)

    monkeypatch.setattr(stage_one, "compute_parts", watched)
    return seen


def harvest_alone(config, hook_point, tmp_path):
    return harvest(
        config.with_flags(probe_location=hook_point, further_locations=(), results_dir=tmp_path / hook_point)
    )


def test_several_hook_points_get_the_values_of_separate_harvests(config, passes, tmp_path):
    first = harvest(config)
    assert passes == [((POST, RESIDUAL, PRE), [0, 1, 2])]
    assert first.path == config.store_folder()
    for hook_point in (POST, RESIDUAL):
        store, other = open_store(config.store_folder(hook_point)), harvest_alone(config, hook_point, tmp_path)
        assert store.digest == other.digest
        assert store.plan.hook_points == (hook_point,)
        assert np.array_equal(store.read(1), other.read(1))
    assert open_store(config.store_folder(RESIDUAL)).plan.widths == {RESIDUAL: 16}


def test_a_hook_point_is_added_without_computing_the_others_again(config, passes):
    harvest(config.with_flags(further_locations=()))
    before = config.store_folder().stat().st_mtime_ns
    harvest(config)
    assert passes == [((POST,), [0, 1, 2]), ((RESIDUAL, PRE), [0, 1, 2])]
    assert config.store_folder().stat().st_mtime_ns == before


def test_each_store_resumes_with_its_own_missing_parts(config, passes):
    harvest(config)
    stores = {hook_point: open_store(config.store_folder(hook_point)) for hook_point in (POST, RESIDUAL, PRE)}
    digests = {hook_point: store.digest for hook_point, store in stores.items()}
    for hook_point, part in [(POST, 0), (RESIDUAL, 0), (RESIDUAL, 2), (PRE, 1)]:
        stores[hook_point].discard_part(part)
    passes.clear()
    harvest(config)
    assert passes == [((POST, RESIDUAL), [0]), ((RESIDUAL,), [2]), ((PRE,), [1])]
    assert {hook_point: open_store(config.store_folder(hook_point)).digest for hook_point in stores} == digests


def test_stores_with_other_parts_are_resumed(config, passes, monkeypatch):
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: 80)
    store = harvest(config.with_flags(further_locations=()))
    store.discard_part(3)
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: 100)
    harvest(config)
    assert passes[1:] == [((POST,), [3]), ((RESIDUAL, PRE), [0, 1, 2])]
    assert open_store(store.path).plan.part_rows == 80
    assert open_store(store.path).is_complete


def test_parts_are_chosen_for_all_hook_points_together(tiny_harvest, monkeypatch):
    row_sizes = []
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: row_sizes.append(row_bytes) or 100)
    prepare_harvest(tiny_harvest.with_flags(further_locations=(RESIDUAL,)))
    prepare_harvest(tiny_harvest.with_flags(output_precision="8", layers=(1,)))
    assert row_sizes == [2 * (48 + 16) * 2, 48 * 4]


def test_a_hook_point_that_does_not_exist_stops_all(config):
    with pytest.raises(ModelError, match="no hook point 'mlp.hook_pots'"):
        harvest(config.with_flags(further_locations=(RESIDUAL, "mlp.hook_pots")))
    assert not config.store_folder().exists()


def test_a_hook_point_named_twice_is_stored_once(config, passes):
    harvest(config.with_flags(further_locations=(POST, RESIDUAL, RESIDUAL)))
    assert passes == [((POST, RESIDUAL), [0, 1, 2])]


def test_precision_8_of_both_encodings_is_close_to_float32(config, tmp_path):
    config = config.with_flags(further_locations=())
    exact = harvest(config.with_flags(output_precision="32"))
    for kind in ("zarr", "hdf5"):
        coarse = config.with_flags(output_precision="8", store=kind, results_dir=tmp_path / kind)
        store = run_harvest(prepare_harvest(coarse))
        assert store.kind == kind
        precise, found = exact.read(1), store.read(1)
        steps = [np.ptp(precise[start : start + 100], axis=0) / 255 for start in (0, 100, 200)]
        assert (np.abs(found - precise) <= np.max(steps, axis=0) * 0.51 + 1e-6).all()
        assert np.abs(found - precise).max() > 0
