"""Harvests of the rows of features: their values, resuming, repairing, overwriting, memory."""

import functools
import gc
import logging
import shutil
import weakref

import numpy as np
import pytest
import torch

import sparse_probing.activations.harvest as stage_one
from probing_datasets.feature_dataset.probed_rows import probed_rows
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.harvest import harvest, prepare_harvest, run_harvest
from sparse_probing.activations.harvesting.compute_parts import allocate_part, compute_parts
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.activations.stores.manifest.provenance import read_provenance
from tests.builders.harvests import HOOK, PART_ROWS, file_contents, flip_bit, modification_times, truncate

REDUCE = {"mean": lambda rows: rows.mean(0), "max": lambda rows: rows.max(0), "last": lambda rows: rows[-1]}
TOLERANCE = {"32": 1e-6, "16": 2**-11, "bf16": 2**-8}


@pytest.fixture
def config(tiny_harvest, small_parts):
    """Three parts: one row per sequence, 270 sequences."""
    return tiny_harvest.with_flags(activation_aggregation="mean")


def expected_rows(reference, dataset, layer, aggregation):
    """Stored rows in their order, from the definition of the data set."""
    if aggregation == "none":
        columns = (dataset.probes[name][:] for name in ("sequence", "position"))
        places = sorted(set(zip(*columns, strict=True)))
        return np.array([reference[layer][sequence][position] for sequence, position in places])
    prefix = dataset.description.n_prefix
    return np.array([REDUCE[aggregation](rows[prefix:]) for rows in reference[layer]])


@pytest.mark.parametrize(
    ("aggregation", "precision"),
    [("none", "32"), ("mean", "32"), ("max", "32"), ("last", "32"), ("none", "16"), ("mean", "16"), ("max", "bf16")],
)
def test_rows_equal_those_of_plain_hooks(config, tiny_dataset, reference, aggregation, precision):
    store = harvest(config.with_flags(activation_aggregation=aggregation, output_precision=precision, batch_size=16))
    assert store.plan.n_parts > 1
    for layer in (0, 1):
        expected = expected_rows(reference, tiny_dataset, layer, aggregation)
        np.testing.assert_allclose(store.read(layer), expected, rtol=TOLERANCE[precision], atol=1e-6)


def test_control_rows_of_another_layer_or_sequence_differ(config, tiny_dataset, reference):
    store = harvest(config)
    expected = expected_rows(reference, tiny_dataset, 0, "mean")
    assert np.abs(store.read(1) - expected).max() > 0.01
    assert np.abs(store.read(0)[::-1] - expected).max() > 0.01


def test_the_store_knows_which_token_each_row_is(config, tiny_dataset):
    for aggregation in ("none", "mean"):
        store = harvest(config.with_flags(activation_aggregation=aggregation))
        rows = probed_rows(tiny_dataset, aggregation)
        assert all(map(np.array_equal, store.rows, (rows.sequence, rows.position)))


def test_chosen_layers_have_the_values_of_a_harvest_of_all_layers(config, tmp_path):
    whole = harvest(config)
    alone = harvest(config.with_flags(layers=(1,), results_dir=tmp_path / "alone"))
    assert alone.plan.layers == (1,)
    assert np.array_equal(alone.read(1), whole.read(1))


def test_the_batch_size_changes_no_more_than_rounding(config, tmp_path):
    precise = config.with_flags(output_precision="32")
    other = harvest(precise.with_flags(batch_size=7, results_dir=tmp_path / "other"))
    assert other.plan == harvest(precise).plan
    np.testing.assert_allclose(other.read(1), harvest(precise).read(1), atol=1e-6)


def test_random_weights_have_another_store(config, tmp_path):
    control = config.with_flags(random_init=True, seed=1)
    trained, first = harvest(config), harvest(control)
    again = harvest(control.with_flags(results_dir=tmp_path / "again"))
    assert first.path != trained.path
    assert np.array_equal(first.read(0), again.read(0))
    assert np.abs(first.read(0) - trained.read(0)).max() > 0.01


def test_every_part_is_independent_of_the_others(config):
    store = harvest(config)
    prepared = prepare_harvest(config)
    allocate = functools.partial(allocate_part, prepared, [HOOK])
    for part, buffers in compute_parts(prepared, [HOOK], [2, 0], allocate, lambda n_rows: None):
        start, stop = store.plan.part_range(part)
        for layer in (0, 1):
            found = buffers[HOOK, layer][: stop - start].astype(np.float32)
            assert np.array_equal(found, store.read(layer, rows=slice(start, stop)))


def test_no_more_than_three_parts_are_in_memory(tiny_harvest, small_parts, monkeypatch):
    allocated = []

    def watched(prepared, hook_points):
        buffers = allocate_part(prepared, hook_points)
        allocated.append([weakref.ref(array) for array in buffers.values()])
        assert {array.shape for array in buffers.values()} == {(PART_ROWS, 48)}
        return buffers

    monkeypatch.setattr(stage_one, "allocate_part", watched)
    assert harvest(tiny_harvest).plan.n_parts == 14
    assert 1 <= len(allocated) <= 3
    gc.collect()
    assert not [array for arrays in allocated for array in arrays if array() is not None]


def test_summary_names_rows_width_layers_and_space(config):
    summary = prepare_harvest(config).summary()
    assert summary.startswith("270 rows, width mlp.hook_post 48, 2 layers, 3 parts: 0.001 GB needed, ")
    assert " GB free, in " in summary


def test_the_settings_and_versions_are_recorded_beside_the_store(config):
    store = harvest(config)
    record = read_provenance(store.path)
    assert record is not None
    assert record["config"]["feature_dataset"] == "natural_lang_id.tiny.64.-1"
    assert record["config"]["activation_aggregation"] == "mean"
    assert record["versions"]["torch"] == torch.__version__


@pytest.fixture
def unbroken(config):
    """Bytes of all files of an unbroken harvest; the place is then free again."""
    content = file_contents(harvest(config).path)
    shutil.rmtree(config.store_folder())
    return content


def stop_before(monkeypatch, part, error):
    def stopping(*arguments):
        for p, buffers in compute_parts(*arguments):
            if p == part:
                raise error
            yield p, buffers

    monkeypatch.setattr(stage_one, "compute_parts", stopping)


@pytest.mark.parametrize(("part", "error"), [(0, RuntimeError), (1, RuntimeError), (2, KeyboardInterrupt)])
def test_resuming_gives_the_bytes_of_an_unbroken_harvest(config, unbroken, monkeypatch, part, error):
    with monkeypatch.context() as patch:
        stop_before(patch, part, error("stop"))
        with pytest.raises(error, match="stop"):
            harvest(config)
    assert ZarrStore.open(config.store_folder()).open_parts() == list(range(part, 3))
    assert file_contents(config.store_folder()).keys() < unbroken.keys()
    harvest(config)
    assert file_contents(config.store_folder()) == unbroken


def test_a_failure_to_write_keeps_finished_parts(config, unbroken, monkeypatch):
    def failing(store, part, activations, write=ZarrStore.write_part):
        if part == 1:
            raise StoreError("no space")
        write(store, part, activations)

    with monkeypatch.context() as patch:
        patch.setattr(ZarrStore, "write_part", failing)
        with pytest.raises(StoreError, match="no space"):
            harvest(config)
    assert 0 not in ZarrStore.open(config.store_folder()).open_parts()
    harvest(config)
    assert file_contents(config.store_folder()) == unbroken


def test_harvesting_again_does_nothing(config, monkeypatch):
    path = harvest(config).path
    before = modification_times(path)
    monkeypatch.setattr(stage_one, "compute_parts", None)
    harvest(config)
    assert modification_times(path) == before


def remove(path):
    path.unlink()


SHARD = "mlp.hook_post/layer_01/c.1.0"


@pytest.mark.parametrize(
    ("name", "damage", "resume"),
    [
        (SHARD, truncate, False),
        (SHARD, remove, False),
        (SHARD, truncate, True),
        (SHARD, flip_bit, True),
        ("parts/000001.json", truncate, False),
        ("rows.parquet", flip_bit, False),
    ],
)
def test_damage_is_repaired(config, name, damage, resume, caplog):
    store = harvest(config)
    before = file_contents(store.path)
    damage(store.path / name)
    with caplog.at_level(logging.WARNING):
        harvest(config.with_flags(resume=resume))
    assert file_contents(store.path) == before
    if name == SHARD:
        assert "part 1 is written again" in caplog.text
        assert "layer_01/c.1.0" in caplog.text


def test_checksums_are_compared_only_with_resume(config):
    store = harvest(config)
    flip_bit(store.path / SHARD)
    harvest(config)
    assert [damage.part for damage in store.verify()] == [1]
    assert harvest(config.with_flags(resume=True)).verify() == []


def test_damage_that_belongs_to_no_part_is_named(config):
    record = harvest(config).path / "provenance.json"
    flip_bit(record)
    resumed = config.with_flags(resume=True)
    with pytest.raises(CorruptStoreError, match=r"provenance.json: .*Delete this file and run the same command again"):
        harvest(resumed)
    record.unlink()
    assert harvest(resumed).verify() == []


def test_an_edited_plan_is_refused(config):
    plan = harvest(config).path / "plan.json"
    plan.write_text(plan.read_text().replace('"dtype": "float32"', '"dtype": "float16"'))
    with pytest.raises(CorruptStoreError, match=r"plan.json was edited or damaged .* again with --overwrite"):
        harvest(config)
    assert harvest(config.with_flags(overwrite=True)).verify() == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"output_precision": "32"}, 'precision: "16" -> "32"'),
        ({"layers": (1,)}, r"layers: \[0, 1\] -> \[1\]"),
        ({"dtype": "bfloat16"}, 'fingerprint.dtype: "float32" -> "bfloat16"'),
    ],
)
def test_other_settings_do_not_touch_the_store(config, change, difference):
    store = harvest(config)
    before = file_contents(store.path)
    with pytest.raises(StoreError, match=f"{difference}.*--overwrite"):
        harvest(config.with_flags(**change))
    assert file_contents(store.path) == before


def test_overwrite_replaces_the_store(config, tmp_path):
    harvest(config)
    changed = config.with_flags(output_precision="32", overwrite=True)
    store = harvest(changed)
    fresh = harvest(changed.with_flags(results_dir=tmp_path / "fresh"))
    assert store.plan == fresh.plan
    assert store.digest == fresh.digest


def test_overwrite_resumes_a_store_of_the_same_settings(config, monkeypatch):
    harvest(config)
    monkeypatch.setattr(stage_one, "compute_parts", None)
    assert harvest(config.with_flags(overwrite=True)).is_complete


def test_a_prepared_harvest_runs_without_its_summary(config):
    assert run_harvest(prepare_harvest(config)).is_complete


@pytest.fixture
def before_each_batch():
    """A function that registers another one, to be called with the keywords of every forward pass of a harvest."""
    handles = []

    def register(prepared, function):
        hook = lambda _module, _positional, keywords: function(keywords)  # noqa: E731
        handles.append(prepared.model.model.base_model.register_forward_pre_hook(hook, with_kwargs=True))

    yield register
    for handle in handles:
        handle.remove()


def test_a_notebook_keeps_its_number_of_threads(config, before_each_batch):
    before, seen = torch.get_num_threads(), []
    prepared = prepare_harvest(config.with_flags(n_threads=before + 1))
    before_each_batch(prepared, lambda _: seen.append(torch.get_num_threads()))
    run_harvest(prepared)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_batches_that_do_not_fit_into_memory_are_halved(config, before_each_batch, tmp_path, caplog):
    def refuse(keywords):
        if len(keywords["input_ids"]) > 9:
            raise torch.OutOfMemoryError("out of memory")

    whole = harvest(config.with_flags(results_dir=tmp_path / "whole"))
    prepared = prepare_harvest(config)
    before_each_batch(prepared, refuse)
    with caplog.at_level(logging.WARNING):
        halved = run_harvest(prepared)
    assert "32 sequences of 64 tokens do not fit into memory: now 16" in caplog.text
    assert "16 sequences of 64 tokens do not fit into memory: now 8" in caplog.text
    np.testing.assert_allclose(halved.read(1), whole.read(1), rtol=2**-10, atol=1e-6)
