"""Histograms of a data set: their numbers, how they resume, and how processes share them."""

import dataclasses
import json
import logging
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from probing_datasets.feature_dataset import build_feature_dataset
from probing_datasets.foundation.errors import ActivationError, ModelError, ModelMemoryError, SettingsError, StoreError
from sparse_probing.activations.statistics import counting, prepare
from sparse_probing.activations.statistics import histogram as module
from sparse_probing.activations.statistics.histogram import (
    full_activation_histogram,
    run_histogram,
    summary,
)
from sparse_probing.activations.statistics.prepare import NOT_STARTED, prepare_histogram
from sparse_probing.activations.tables.result_folder import damaged_files
from sparse_probing.models import LanguageModel
from tests.builders.harvests import HOOK, file_contents, flip_bit, modification_times


@pytest.fixture
def config(histogram_config):
    return histogram_config


def layer_table(folder, layer):
    return pd.read_parquet(folder / f"layer_{layer:02d}.parquet")


def examples_of(folder, layer, neuron, end):
    table = pd.read_parquet(folder / "examples" / f"layer_{layer:02d}.parquet")
    return table[(table["neuron"] == neuron) & (table["end"] == end)].reset_index(drop=True)


def tables(folder):
    return file_contents(folder, "*.parquet")


def contents(folder):
    """Return the columns that must not depend on the division of the work, and separately mean and variance."""
    frames = {name: pd.read_parquet(folder / name) for name in tables(folder)}
    rounded = ["mean", "variance"]
    exact = {name: frame.drop(columns=rounded, errors="ignore") for name, frame in frames.items()}
    return exact, {name: frame.reindex(columns=rounded) for name, frame in frames.items()}


def check_same(folder, other):
    (exact, rounded), (exact_other, rounded_other) = contents(folder), contents(other)
    assert exact.keys() == exact_other.keys()
    for name in exact:
        pd.testing.assert_frame_equal(exact[name], exact_other[name])
        pd.testing.assert_frame_equal(rounded[name], rounded_other[name], rtol=1e-9)


def check_statistics(row, values, n_bin=100):
    span = (float(row["hist_min"]), float(row["hist_max"]))
    assert row["n"] == len(values) == row["below"] + row["counts"].sum() + row["above"]
    assert np.array_equal(row["counts"], np.histogram(values, n_bin, span)[0])
    assert (row["below"], row["above"]) == ((values < span[0]).sum(), (values > span[1]).sum())
    assert (row["minimum"], row["maximum"]) == (values.min(), values.max())
    assert row["nonzero_fraction"] == (values != 0).mean()
    assert row["positive_fraction"] == (values > 0).mean()
    np.testing.assert_allclose(row["mean"], values.mean(dtype=np.float64), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(row["variance"], values.var(dtype=np.float64), rtol=1e-5)


def test_every_neuron_equals_plain_hooks_and_numpy(config, reference, tiny_dataset):
    folder = full_activation_histogram(config.with_flags(batch_size=1, hist_max=0.1, hist_min=-0.05))
    places = [(s, p) for s, length in enumerate(tiny_dataset.lengths) for p in range(1, length)]
    for layer in (0, 1):
        table = layer_table(folder, layer)
        rows = np.concatenate([activations[1:] for activations in reference[layer]])  # without <|endoftext|>
        assert table["neuron"].tolist() == list(range(48))
        for neuron, row in table.iterrows():
            check_statistics(row, rows[:, neuron])
            np.testing.assert_array_equal(row[["hist_min", "hist_max"]].astype(np.float32), np.float32([-0.05, 0.1]))
        for neuron in (0, 5, 47):
            for end, sign in (("largest", -1), ("smallest", 1)):
                examples = examples_of(folder, layer, neuron, end)
                best = sorted(range(len(rows)), key=lambda i, x=sign * rows[:, neuron]: (x[i], i))[:4]
                assert np.array_equal(examples["value"], rows[best, neuron])
                found = list(zip(examples["sequence"], examples["position"], strict=True))
                assert found == [places[i] for i in best]
                assert examples["rank"].tolist() == [1, 2, 3, 4]
    assert table["below"].sum() > 0
    assert table["above"].sum() > 0


def test_control_another_layer_differs(config, reference):
    folder = full_activation_histogram(config)
    rows = np.concatenate([activations[1:] for activations in reference[1]])
    assert np.abs(layer_table(folder, 0)["mean"] - rows.mean(0)).max() > 0.001
    assert not np.allclose(layer_table(folder, 1)["mean"], np.concatenate(reference[1]).mean(0), rtol=1e-5)


def test_examples_show_their_token_in_its_text(config, tiny_dataset):
    folder = full_activation_histogram(config)
    tokenizer = prepare_histogram(config).inputs.model.tokenizer
    for end in ("largest", "smallest"):
        for example in examples_of(folder, 0, 3, end).itertuples():
            ids = tiny_dataset.sequences["tokens"][int(example.sequence)]
            assert example.token == tokenizer.decode([ids[int(example.position)]])
            assert example.context.replace("«", "").replace("»", "") in tokenizer.decode(ids)
            if "\N{REPLACEMENT CHARACTER}" not in example.token:
                assert f"«{example.token}»" in example.context


def test_classes_are_counted_at_their_probed_tokens(config, reference, tiny_dataset):
    folder = full_activation_histogram(config.with_flags(histogram_by_class=True, batch_size=1, layers=(1,)))
    table = pd.read_parquet(folder / "classes" / "layer_01.parquet").set_index(["feature", "label", "neuron"])
    assert len(table) == 9 * 2 * 48
    for feature in ("Dutch", "Greek"):
        probes = tiny_dataset.feature_probes(feature)
        for label in (-1.0, 1.0):
            chosen = probes.label == label
            places = zip(probes.sequence[chosen], probes.position[chosen], strict=True)
            rows = np.array([reference[1][sequence][position] for sequence, position in places])
            for neuron in (0, 47):
                check_statistics(table.loc[feature, label, neuron], rows[:, neuron])


def test_multiclass_features_have_classes_and_regression_features_a_note(config, tiny_dataset, tmp_path):
    probes = tiny_dataset.feature_probes("Dutch")
    made = build_feature_dataset(
        dataclasses.replace(tiny_dataset.description, name="kinds.tiny.64.-1"),
        tiny_dataset.tokens(np.arange(270)),
        tiny_dataset.sequences["group"],
        {
            "third": ("multiclass", probes._replace(label=probes.position % 3.0)),
            "place": ("regression", probes._replace(label=probes.position / 64)),
        },
    )
    made.save(tmp_path / "sets" / made.name)
    config = config.with_flags(
        feature_dataset=made.name, feature_dataset_dir=tmp_path / "sets", histogram_by_class=True
    )
    folder = full_activation_histogram(config)
    table = pd.read_parquet(folder / "classes" / "layer_00.parquet")
    sizes = table[table["neuron"] == 0].set_index(["feature", "label"])["n"]
    assert sizes.to_dict() == {("third", i): (probes.position % 3 == i).sum() for i in (0.0, 1.0, 2.0)}
    assert json.loads((folder / "description.json").read_text())["content"]["features_without_classes"] == ["place"]


def test_batch_size_changes_no_more_than_rounding(config, tmp_path):
    folders = [
        full_activation_histogram(config.with_flags(batch_size=size, results_dir=tmp_path / str(size)))
        for size in (7, 64)
    ]
    one, other = (layer_table(folder, 1) for folder in folders)
    assert np.abs(np.stack(one["counts"]) - np.stack(other["counts"])).sum() <= 4
    assert np.array_equal(one[["hist_min", "hist_max"]], other[["hist_min", "hist_max"]])
    for end in ("largest", "smallest"):
        values = [examples_of(folder, 1, 3, end)["value"] for folder in folders]
        np.testing.assert_allclose(*values, atol=1e-6)


def test_further_locations_equal_those_counted_separately(config, tmp_path):
    both = config.with_flags(further_locations=("hook_resid_post",))
    beside = full_activation_histogram(both).with_name("hook_resid_post")
    alone = full_activation_histogram(
        config.with_flags(probe_location="hook_resid_post", results_dir=tmp_path / "alone")
    )
    assert len(layer_table(alone, 0)) == 16
    assert tables(beside) == tables(alone)


def test_a_location_can_be_added_later(config, monkeypatch):
    first = full_activation_histogram(config)
    before = tables(first)
    full_activation_histogram(config.with_flags(further_locations=("hook_resid_post",)))
    assert tables(first) == before
    assert len(tables(first.with_name("hook_resid_post"))) == 4


def test_bins_without_a_range_hold_the_activations_of_every_neuron(config, reference):
    """The published range of -1 to 8 has all of these in four of its bins."""
    folder = full_activation_histogram(config)
    table = layer_table(folder, 1)
    n = table["n"].iloc[0]
    assert ((table["below"] + table["above"]) / n).max() < 0.02
    assert np.stack(table["counts"]).astype(bool).sum(1).min() > 20
    fixed = full_activation_histogram(config.with_flags(hist_min=-1.0, hist_max=8.0, overwrite=True))
    assert np.stack(layer_table(fixed, 1)["counts"]).astype(bool).sum(1).max() < 20


def test_one_end_of_the_bins_is_refused(config):
    with pytest.raises(SettingsError, match="--hist_min and --hist_max are set together"):
        config.with_flags(hist_min=-1.0)


def test_description_holds_settings_versions_and_checksums(config):
    folder = full_activation_histogram(config.with_flags(n_bin=5))
    description = json.loads((folder / "description.json").read_text())["content"]
    assert description["config"]["top_k"] == 4
    assert description["plan"]["weight_hash"]
    assert description["versions"]["torch"]
    assert {name: r["nbytes"] for name, r in description["files"].items()} == {
        name: len(data) for name, data in tables(folder).items()
    }
    assert not (folder / "checkpoints").exists()


def test_running_again_does_nothing(config, monkeypatch):
    folder = full_activation_histogram(config)
    before = modification_times(folder)
    monkeypatch.setattr(LanguageModel, "run", None)
    full_activation_histogram(config)
    assert modification_times(folder) == before


@pytest.mark.parametrize("n_counted", [0, 1, 3, 5])
def test_an_interrupted_run_resumes_and_gives_the_same_bytes(config, monkeypatch, tmp_path, n_counted):
    unbroken = full_activation_histogram(config.with_flags(results_dir=tmp_path / "unbroken"))
    counted = []

    def stopping(prepared, shares, block, batch_size, count=counting._count_block):
        if block == n_counted:
            raise KeyboardInterrupt
        count(prepared, shares, block, batch_size)
        counted.append(block)

    with monkeypatch.context() as patch:
        patch.setattr(counting, "CHECKPOINT_COST", 1e9)  # a checkpoint after every block
        patch.setattr(counting, "_count_block", stopping)
        with pytest.raises(KeyboardInterrupt):
            full_activation_histogram(config)
        n_counted = None
        folder = full_activation_histogram(config)
    assert counted == [0, 1, 2, 3, 4, 5]
    assert tables(folder) == tables(unbroken)


@pytest.mark.parametrize("name", ["rank-0000-of-0001.safetensors", "bins.safetensors"])
def test_a_damaged_checkpoint_is_removed_with_a_warning_and_counted_again(config, monkeypatch, tmp_path, caplog, name):
    unbroken = full_activation_histogram(config.with_flags(results_dir=tmp_path / "unbroken"))

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_layer", stop)  # all is counted, and nothing is published
        with pytest.raises(KeyboardInterrupt):
            full_activation_histogram(config)
    folder = prepare_histogram(config).inputs.folder(HOOK)
    path = folder / "checkpoints" / name
    flip_bit(path, path.stat().st_size - 9)
    if name == "bins.safetensors":
        (path.parent / "rank-0000-of-0001.safetensors").unlink()
    full_activation_histogram(config)
    assert tables(folder) == tables(unbroken)
    assert [f"{path} is damaged (checksum differs)" in r.getMessage() for r in caplog.records].count(True) == 1
    assert damaged_files(folder) == {}


def test_the_last_rank_counts_the_damaged_share_of_another_one(config, tmp_path):
    alone = full_activation_histogram(config.with_flags(results_dir=tmp_path / "alone"))
    run_histogram(prepare_histogram(config.with_flags(rank=0, world_size=2)))
    folder = prepare_histogram(config).inputs.folder(HOOK)
    path = folder / "checkpoints" / "rank-0000-of-0002.safetensors"
    flip_bit(path, path.stat().st_size - 9)
    assert run_histogram(prepare_histogram(config.with_flags(rank=1, world_size=2)))
    check_same(folder, alone)


@pytest.mark.parametrize("other", ["rank-0000-of-0002.safetensors", "bins.safetensors"])
def test_the_whole_file_of_another_process_is_not_taken_for_a_checkpoint(config, tmp_path, other):
    """Its checksum is right; counted as the share of this process, the tables would have every token of it twice."""
    alone = full_activation_histogram(config.with_flags(results_dir=tmp_path / "alone"))
    run_histogram(prepare_histogram(config.with_flags(rank=0, world_size=2)))
    folder = prepare_histogram(config).inputs.folder(HOOK)
    path = folder / "checkpoints" / "rank-0001-of-0002.safetensors"
    shutil.copy(path.with_name(other), path)
    last = prepare_histogram(config.with_flags(rank=1, world_size=2))
    with pytest.raises(StoreError, match=f"{path} belongs to another plan or another process. .* delete it"):
        run_histogram(last)
    path.unlink()
    assert run_histogram(last)
    check_same(folder, alone)


def test_the_bins_of_another_hook_point_are_not_used(config):
    full_activation_histogram(config)
    folders = [prepare_histogram(config).inputs.folder(hook_point) for hook_point in (HOOK, "mlp.hook_pre")]
    both = prepare_histogram(config.with_flags(further_locations=("mlp.hook_pre",)))
    for folder in folders:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    both.empty(HOOK)
    paths = [folder / "checkpoints" / "bins.safetensors" for folder in folders]
    shutil.copy(*paths)
    with pytest.raises(StoreError, match=f"{paths[1]} belongs to another plan"):
        both.empty("mlp.hook_pre")


def test_a_checkpoint_that_does_not_fit_the_disk_is_one_sentence(config):
    prepared = prepare_histogram(config)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"Cannot write .*\.safetensors: File too large\. Finished parts are kept"):
            run_histogram(prepared)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_ranks_share_the_blocks_and_the_last_one_merges(config, tmp_path, order):
    alone = full_activation_histogram(config.with_flags(results_dir=tmp_path / "alone"))
    done = [run_histogram(prepare_histogram(config.with_flags(rank=rank, world_size=3))) for rank in order]
    assert done == [False, False, True]
    folder = prepare_histogram(config).inputs.folder(HOOK)
    check_same(folder, alone)
    assert not (folder / "checkpoints").exists()


def test_more_ranks_than_blocks(config, tmp_path):
    alone = full_activation_histogram(config.with_flags(results_dir=tmp_path / "alone"))
    for rank in range(8):
        folder = full_activation_histogram(config.with_flags(rank=rank, world_size=8))
    check_same(folder, alone)


def test_a_batch_that_does_not_fit_is_counted_in_smaller_ones(config, monkeypatch, tmp_path, caplog):
    whole = full_activation_histogram(config.with_flags(batch_size=4, results_dir=tmp_path / "whole"))

    def scarce(model, tokens, mask, hooks, run=LanguageModel.run):
        run(model, tokens, mask, hooks)  # the hooks have counted by then
        if len(tokens) > 4 and "blocks.1.mlp.hook_post" in hooks:
            raise ModelMemoryError("too large")

    monkeypatch.setattr(LanguageModel, "run", scarce)
    with caplog.at_level(logging.WARNING):
        folder = full_activation_histogram(config.with_flags(batch_size=16))
    assert tables(folder) == tables(whole)
    assert "with 8" in caplog.text
    assert "with 4" in caplog.text


def test_halving_starts_at_the_size_of_a_block(config, monkeypatch, caplog):
    sizes = []

    def scarce(model, tokens, mask, hooks, run=LanguageModel.run):
        sizes.append(len(tokens))
        if len(tokens) > 20:
            raise ModelMemoryError("too large")
        run(model, tokens, mask, hooks)

    monkeypatch.setattr(LanguageModel, "run", scarce)
    with caplog.at_level(logging.WARNING):
        full_activation_histogram(config.with_flags(batch_size=4096))
    assert [size for size in sizes if size > 1][:3] == [50, 25, 12]  # the bins are chosen from single sequences
    assert [record.args for record in caplog.records if "does not fit" in record.message] == [(25,), (12,)]


@pytest.mark.parametrize("bad", [torch.nan, -torch.inf])
def test_activations_that_are_not_finite_are_refused_with_their_place(config, monkeypatch, bad):
    def broken(model, tokens, mask, hooks):
        for name, hook in hooks.items():
            hook(torch.full((*tokens.shape, model.widths([HOOK], (0,))[HOOK]), bad if "blocks.1" in name else 0.0))

    prepared = prepare_histogram(config)
    monkeypatch.setattr(LanguageModel, "run", broken)
    with pytest.raises(ActivationError, match=r"^blocks.1.mlp.hook_post: .* NaN or infinite.*--dtype float32"):
        run_histogram(prepared)


def test_another_world_size_is_refused_while_there_are_checkpoints(config):
    assert not run_histogram(prepare_histogram(config.with_flags(rank=2, world_size=3)))
    kept = prepare_histogram(config.with_flags(rank=0, world_size=3))
    for world_size in (1, 2):
        other = prepare_histogram(config.with_flags(world_size=world_size))
        with pytest.raises(SettingsError, match=r"--world_size is \d. Resume with --world_size 3 .* --rank 0 to 2"):
            run_histogram(other)
    assert kept.is_counted(HOOK, 2)
    folder = full_activation_histogram(config.with_flags(overwrite=True))
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_a_damaged_table_is_made_again(config, resume):
    folder = full_activation_histogram(config)
    before, path = tables(folder), folder / "layer_01.parquet"
    if resume:
        path.write_bytes(bytes([*path.read_bytes()[:-1], 0]))
    else:
        path.unlink()
    full_activation_histogram(config.with_flags(resume=resume))
    assert tables(folder) == before


def test_a_sequence_that_does_not_fit_is_an_error(config, monkeypatch):
    prepared = prepare_histogram(config)

    def none_fits(*_):
        raise ModelMemoryError("too large")

    monkeypatch.setattr(LanguageModel, "run", none_fits)
    with pytest.raises(ModelMemoryError):
        run_histogram(prepared)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"n_bin": 50}, "n_bin: 100 -> 50"),
        ({"layers": (1,)}, r"layers: \[0, 1\] -> \[1\]"),
        ({"histogram_by_class": True}, "histogram_by_class: False -> True"),
    ],
)
def test_other_settings_are_refused_until_overwritten(config, change, difference):
    folder = full_activation_histogram(config)
    before = tables(folder)
    with pytest.raises(StoreError, match=f"{difference}.*--overwrite"):
        full_activation_histogram(config.with_flags(**change))
    assert tables(folder) == before
    full_activation_histogram(config.with_flags(**change, overwrite=True))
    assert tables(folder) != before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"activation_aggregation": "mean"}, SettingsError, "single tokens: --activation_aggregation none"),
        ({"layers": (5,)}, ModelError, "there is no layer 5"),
        ({"probe_location": "mlp.nothing"}, ModelError, "no hook point 'mlp.nothing'"),
    ],
)
def test_bad_input(config, change, error, message):
    with pytest.raises(error, match=message):
        full_activation_histogram(config.with_flags(**change))
    assert not config.activations.results_dir.exists()


def test_summary_and_dry_run_touch_nothing(config):
    planned = prepare_histogram(config.with_flags(dry_run=True, histogram_by_class=True))
    assert "18 classes, width mlp.hook_post 48, 2 layers: 0.001 GB of counts" in summary(planned)
    assert not config.activations.results_dir.exists()


SCRIPT = """
import sys
from pathlib import Path
from sparse_probing.activations.statistics import counting, histogram, prepare
from sparse_probing.config import HarvestConfig
prepare.BLOCK_SEQUENCES = 10
counting.CHECKPOINT_COST = 1e9
model, root, results = sys.argv[1:]
histogram.full_activation_histogram(HarvestConfig.from_flags(
    experiment_type="full_activation_histogram", model=model, feature_dataset="natural_lang_id.tiny.64.-1",
    feature_dataset_dir=Path(root), results_dir=Path(results), n_threads=1, batch_size=1, top_k=4, rank=0, world_size=2,
))
"""


@pytest.mark.slow
def test_two_ranks_one_of_which_is_killed(config, tiny_model_dir, tiny_dataset_root, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "BLOCK_SEQUENCES", 10)
    config = config.with_flags(batch_size=1)
    alone = full_activation_histogram(config.with_flags(results_dir=tmp_path / "alone"))
    prepared = prepare_histogram(config.with_flags(rank=0, world_size=2))
    arguments = map(str, [tiny_model_dir, tiny_dataset_root, config.activations.results_dir])
    killed = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stderr=subprocess.PIPE)
    while prepared.n_counted(HOOK, 0) == NOT_STARTED:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.002)
    killed.kill()
    assert killed.wait() == -9
    assert 0 < prepared.n_counted(HOOK, 0) < len(prepared.blocks_of(0)) == 14
    assert not run_histogram(prepare_histogram(config.with_flags(rank=1, world_size=2)))
    assert run_histogram(prepared)
    check_same(prepared.inputs.folder(HOOK), alone)
