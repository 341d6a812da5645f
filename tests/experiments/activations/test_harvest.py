import dataclasses
import functools
import json
import logging
import shutil
import weakref

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import experiments.activations.harvest as stage_one
from experiments.activations.harvest import compute_part, harvest, prepare_harvest, run_harvest
from experiments.activations.stores import ZarrStore
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.probed_rows import probed_rows

HOOK = "mlp.hook_post"
PART_ROWS = 100
REDUCE = {"mean": lambda rows: rows.mean(0), "max": lambda rows: rows.max(0), "last": lambda rows: rows[-1]}
TOLERANCE = {"32": 1e-6, "16": 2**-11, "bf16": 2**-8}


LOAD_ONCE = functools.cache(stage_one.load_model)


@pytest.fixture
def small_parts(monkeypatch):
    """Cut every store into parts of 100 rows, and load a model once for all tests."""
    monkeypatch.setattr(stage_one, "load_model", LOAD_ONCE)
    monkeypatch.setattr(stage_one, "choose_part_rows", lambda n_rows, row_bytes: min(n_rows, PART_ROWS))


@pytest.fixture
def config(tiny_harvest, small_parts):
    """Three parts: one row per sequence, 270 sequences."""
    return dataclasses.replace(tiny_harvest, activation_aggregation="mean")


@pytest.fixture(scope="module")
def reference(tiny_model_dir, tiny_dataset_root):
    """By layer and sequence (length, 48) float32: plain hooks on the model, one sequence at a time, no padding."""
    from probing_datasets.feature_dataset import load_feature_dataset

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    kept = {0: [], 1: []}

    def keep(activations, _module, _inputs, output):
        activations.append(output[0].numpy())

    for layer, activations in kept.items():
        act = model.get_submodule(f"gpt_neox.layers.{layer}.mlp.act")
        act.register_forward_hook(functools.partial(keep, activations))
    with torch.inference_mode():
        for tokens in load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root).sequences["tokens"]:
            model(torch.tensor([tokens]))
    return kept


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
    store = harvest(
        dataclasses.replace(config, activation_aggregation=aggregation, output_precision=precision, batch_size=16)
    )
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
        store = harvest(dataclasses.replace(config, activation_aggregation=aggregation))
        rows = probed_rows(tiny_dataset, aggregation)
        assert all(map(np.array_equal, store.rows, (rows.sequence, rows.position)))


def test_chosen_layers_hold_what_they_hold_among_all(config, tmp_path):
    whole = harvest(config)
    alone = harvest(dataclasses.replace(config, layers=(1,), results_dir=tmp_path / "alone"))
    assert alone.plan.layers == (1,)
    assert np.array_equal(alone.read(1), whole.read(1))


def test_the_batch_size_changes_no_more_than_rounding(config, tmp_path):
    precise = dataclasses.replace(config, output_precision="32")
    other = harvest(dataclasses.replace(precise, batch_size=7, results_dir=tmp_path / "other"))
    assert other.plan == harvest(precise).plan
    np.testing.assert_allclose(other.read(1), harvest(precise).read(1), atol=1e-6)


def test_random_weights_have_a_store_of_their_own(config, tmp_path):
    control = dataclasses.replace(config, random_init=True, seed=1)
    trained, first = harvest(config), harvest(control)
    again = harvest(dataclasses.replace(control, results_dir=tmp_path / "again"))
    assert first.path != trained.path
    assert np.array_equal(first.read(0), again.read(0))
    assert np.abs(first.read(0) - trained.read(0)).max() > 0.01


def test_every_part_is_independent_of_the_others(config):
    store = harvest(config)
    job = prepare_harvest(config)
    for part in (2, 0):
        (start, stop), buffers = store.plan.part_range(part), compute_part(job, part)
        for layer in (0, 1):
            found = buffers[HOOK, layer].astype(np.float32)
            assert np.array_equal(found, store.read(layer, rows=slice(start, stop)))


def test_no_more_than_two_parts_are_in_memory(tiny_harvest, small_parts, monkeypatch):
    parts, alive = [], []

    def watched(job, part, progress=None):
        buffers = compute_part(job, part, progress)
        parts.append([weakref.ref(array) for array in buffers.values()])
        alive.append(sum(any(array() is not None for array in arrays) for arrays in parts))
        assert all(len(array) <= PART_ROWS for array in buffers.values())
        return buffers

    monkeypatch.setattr(stage_one, "compute_part", watched)
    assert harvest(tiny_harvest).plan.n_parts == len(alive) == 14
    assert max(alive) == 2


def test_summary_names_rows_width_layers_and_space(config):
    summary = prepare_harvest(config).summary()
    assert summary.startswith("270 rows, width mlp.hook_post 48, 2 layers, 3 parts: 0.001 GB needed, ")
    assert " GB free, in " in summary


def test_the_settings_and_versions_stand_beside_the_store(config):
    store = harvest(config)
    record = json.loads((store.path / "provenance.json").read_text())
    assert record["config"]["feature_dataset"] == "natural_lang_id.tiny.64.-1"
    assert record["config"]["activation_aggregation"] == "mean"
    assert record["versions"]["torch"] == torch.__version__


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def unbroken(config):
    """Bytes of all files of an unbroken harvest; the place is then free again."""
    content = files(harvest(config).path)
    shutil.rmtree(config.store_path)
    return content


def stop_before(monkeypatch, part, error):
    def stopping(job, p, progress=None):
        if p == part:
            raise error
        return compute_part(job, p, progress)

    monkeypatch.setattr(stage_one, "compute_part", stopping)


@pytest.mark.parametrize(("part", "error"), [(0, RuntimeError), (1, RuntimeError), (2, KeyboardInterrupt)])
def test_resuming_gives_the_bytes_of_an_unbroken_harvest(config, unbroken, monkeypatch, part, error):
    with monkeypatch.context() as patch:
        stop_before(patch, part, error("stop"))
        with pytest.raises(error, match="stop"):
            harvest(config)
    assert ZarrStore.open(config.store_path).open_parts() == list(range(part, 3))
    assert files(config.store_path).keys() < unbroken.keys()
    harvest(config)
    assert files(config.store_path) == unbroken


def test_a_failure_to_write_keeps_finished_parts(config, unbroken, monkeypatch):
    def failing(store, part, activations, write=ZarrStore.write_part):
        if part == 1:
            raise StoreError("no space")
        write(store, part, activations)

    with monkeypatch.context() as patch:
        patch.setattr(ZarrStore, "write_part", failing)
        with pytest.raises(StoreError, match="no space"):
            harvest(config)
    assert 0 not in ZarrStore.open(config.store_path).open_parts()
    harvest(config)
    assert files(config.store_path) == unbroken


def test_harvesting_again_does_nothing(config, monkeypatch):
    path = harvest(config).path
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    monkeypatch.setattr(stage_one, "compute_part", None)
    harvest(config)
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def remove(path):
    path.unlink()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("mlp.hook_post/layer_01/c.1.0", flip_byte),
        ("mlp.hook_post/layer_01/c.1.0", truncate),
        ("mlp.hook_post/layer_01/c.1.0", remove),
        ("parts/000001.json", truncate),
        ("rows.parquet", flip_byte),
    ],
)
def test_damage_is_mended(config, name, damage, caplog):
    store = harvest(config)
    before = files(store.path)
    damage(store.path / name)
    with caplog.at_level(logging.WARNING):
        harvest(config)
    assert files(store.path) == before
    if "hook_post" in name:
        assert "part 1 is written again" in caplog.text
        assert "layer_01/c.1.0" in caplog.text


def test_an_edited_plan_is_refused(config):
    plan = harvest(config).path / "plan.json"
    plan.write_text(plan.read_text().replace('"dtype": "float32"', '"dtype": "float16"'))
    with pytest.raises(CorruptStoreError, match=r"plan.json was edited or damaged .* anew with --overwrite"):
        harvest(config)
    assert harvest(dataclasses.replace(config, overwrite=True)).verify() == []


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
    before = files(store.path)
    with pytest.raises(StoreError, match=f"{difference}.*--overwrite"):
        harvest(dataclasses.replace(config, **change))
    assert files(store.path) == before


def test_overwrite_makes_the_store_anew(config, tmp_path):
    harvest(config)
    changed = dataclasses.replace(config, output_precision="32", overwrite=True)
    store = harvest(changed)
    fresh = harvest(dataclasses.replace(changed, results_dir=tmp_path / "fresh"))
    assert store.plan == fresh.plan
    assert store.digest == fresh.digest


def test_overwrite_resumes_a_store_of_the_same_settings(config, monkeypatch):
    harvest(config)
    monkeypatch.setattr(stage_one, "compute_part", None)
    assert harvest(dataclasses.replace(config, overwrite=True)).is_complete


def test_a_job_runs_without_the_summary(config):
    assert run_harvest(prepare_harvest(config)).is_complete
