"""Activation subsets: their tables, how they resume, and how processes share them."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from probing_datasets.foundation.errors import (
    ActivationError,
    DatasetError,
    ModelError,
    SettingsError,
    StoreError,
)
from sparse_probing.activations.subset import activation_subset as module
from sparse_probing.activations.subset import prepare
from sparse_probing.activations.subset.activation_subset import activation_subset, run_subset, summary
from sparse_probing.activations.subset.prepare import prepare_subset
from sparse_probing.activations.subset.subset_parts import compute_part
from sparse_probing.activations.tables.result_folder import damaged_files
from sparse_probing.models import LanguageModel
from tests.builders.harvests import file_contents, flip_bit, modification_times, truncate

NEURONS = ("1,47", "0,3", "1,0", "0,3")
NAMES = ["L0.N3", "L1.N0", "L1.N47"]


@pytest.fixture
def config(tiny_harvest, models_loaded_once, monkeypatch):
    """Parts of 100 of the 270 sequences."""
    monkeypatch.setattr(prepare, "PART_SEQUENCES", 100)
    return tiny_harvest.with_flags(
        experiment_type="neuron_subset", neuron_subset=NEURONS, n_threads=1, save_by_neuron=True
    )


def read(folder):
    return pd.read_parquet(folder / "parts")


def tables(folder):
    return file_contents(folder, "*.parquet")


def test_every_token_has_the_activation_of_plain_hooks(config, reference, tiny_dataset):
    table = read(activation_subset(config))
    lengths = tiny_dataset.lengths
    assert list(table.columns) == ["sequence", "position", "token", *NAMES]
    assert np.array_equal(table["sequence"], np.repeat(np.arange(270), lengths))
    assert np.array_equal(table["position"], np.concatenate([np.arange(n) for n in lengths]))
    assert np.array_equal(table["token"], np.concatenate(tiny_dataset.sequences["tokens"]))
    for name, layer, neuron in zip(NAMES, (0, 1, 1), (3, 0, 47), strict=True):
        expected = np.concatenate(reference[layer])[:, neuron]
        assert table[name].dtype == np.float32
        np.testing.assert_allclose(table[name], expected, atol=1e-6)
        assert np.abs(table[name] - np.concatenate(reference[1 - layer])[:, neuron]).max() > 0.01  # a control


def test_positions(config, tiny_dataset):
    some = read(activation_subset(config.with_flags(positions=(-1, 3))))
    other = config.with_flags(results_dir=config.activations.results_dir / "other")
    whole = read(activation_subset(other)).query("position == 3 or position == 63").reset_index(drop=True)
    pd.testing.assert_frame_equal(some, whole, check_exact=False, atol=1e-6)


def test_a_part_may_have_no_token(config, tiny_dataset, monkeypatch):
    monkeypatch.setattr(prepare, "PART_SEQUENCES", 1)
    longest = int(tiny_dataset.lengths.max())
    shorter = np.flatnonzero(tiny_dataset.lengths < longest)
    assert len(shorter)
    prepared = prepare_subset(config.with_flags(positions=(longest - 1,)))
    sizes = np.diff(prepared.bounds)
    assert (sizes[shorter] == 0).all()
    assert len(prepared.tokens(0, 0)) == 0
    values = compute_part(prepared.inputs, prepared.rows, 0, 0, prepared.neurons)
    assert [len(v) for v in values["mlp.hook_post"].values()] == [0, 0, 0]


def test_token_summaries_are_those_of_pandas_on_the_raw_values(config):
    folder = activation_subset(config)
    raw, summaries = read(folder), pd.read_parquet(folder / "token_summary.parquet")
    for name, layer, neuron in zip(NAMES, (0, 1, 1), (3, 0, 47), strict=True):
        groups = raw[name].astype(np.float64).groupby(raw["token"])
        expected = groups.describe(percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
        found = summaries[(summaries["layer"] == layer) & (summaries["neuron"] == neuron)]
        assert found["mean"].is_monotonic_decreasing
        found = found.set_index("token_id").sort_index()
        for column, theirs in zip(
            ["count", "mean", "std", "min", "q05", "q25", "q50", "q75", "q95", "max"],
            ["count", "mean", "std", "min", "5%", "25%", "50%", "75%", "95%", "max"],
            strict=True,
        ):
            np.testing.assert_allclose(found[column], expected[theirs], rtol=1e-9, atol=1e-12)


def test_a_file_per_neuron_holds_its_column(config):
    folder = activation_subset(config)
    whole = read(folder)
    for name in NAMES:
        alone = pd.read_parquet(folder / "by_neuron" / f"{name}.parquet")
        expected = whole[["sequence", "position", "token", name]].rename(columns={name: "activation"})
        pd.testing.assert_frame_equal(alone, expected)


def test_further_tables_are_made_when_requested(config):
    bare = config.with_flags(save_by_neuron=False, skip_computing_token_summary_df=True)
    folder = activation_subset(bare)
    parts_alone = tables(folder)
    assert list(parts_alone) == [f"parts/part-00000{i}.parquet" for i in range(3)]
    activation_subset(config)
    assert tables(folder).items() > parts_alone.items()
    files = json.loads((folder / "description.json").read_text())["content"]["files"]
    assert set(files) == set(tables(folder))


def test_further_locations_have_their_own_folders(config):
    both = config.with_flags(further_locations=("mlp.hook_pre",))
    folder = activation_subset(both)
    before, after = read(folder.with_name("mlp.hook_pre")), read(folder)
    np.testing.assert_allclose(
        torch.nn.functional.gelu(torch.tensor(before["L1.N47"].to_numpy())), after["L1.N47"], atol=1e-6
    )


@pytest.mark.parametrize("location", ["mlp.hook_post", "mlp.hook_pre", "hook_resid_post"])
def test_the_papers_name_stores_pre_activations_whatever_the_probe_location(config, location, caplog):
    papers = config.with_flags(experiment_type="activation_subset", probe_location=location)
    folder = activation_subset(papers)
    assert (folder.parents[2].name, folder.name) == ("activation_subset", "mlp.hook_pre")
    stored, after = read(folder), read(activation_subset(config))
    np.testing.assert_allclose(
        torch.nn.functional.gelu(torch.tensor(stored[NAMES].to_numpy())), after[NAMES], atol=1e-6
    )
    assert np.abs(stored[NAMES] - after[NAMES]).to_numpy().max() > 0.1  # a control
    notes = [r.getMessage() for r in caplog.records if r.name == prepare.__name__]
    expected = f"stores pre-activations (mlp.hook_pre), as in the paper's code, not --probe_location {location}. "
    assert [expected in note and "neuron_subset" in note for note in notes] == [True] * (location != "mlp.hook_pre")
    description = json.loads((folder / "description.json").read_text())["content"]
    assert description["plan"]["hook_point"] == "mlp.hook_pre"
    assert description["config"]["probe_location"] == "mlp.hook_pre"
    assert " tokens, neurons mlp.hook_pre 3, 3 parts, in " in summary(prepare_subset(papers))


def test_a_restricted_file_of_neurons_ranked_after_the_activation_function_names_them_before_it_too(config, tmp_path):
    name = config.activations.model
    rows = [
        (name, "natural_lang_id.tiny.64.-1", hook, 1, i) for i, hook in enumerate(["mlp.hook_post", "hook_mlp_out"])
    ]
    pd.DataFrame(rows, columns=["model", "dataset", "hook_loc", "layer", "neuron"]).to_csv(tmp_path / "a.csv")
    of_file = {"neuron_subset": (), "neuron_subset_file": tmp_path / "a.csv", "auto_restrict_neuron_subset_file": True}
    papers = config.with_flags(experiment_type="activation_subset", **of_file)
    assert {hook: list(map(str, n)) for hook, n in prepare_subset(papers).neurons.items()} == {
        "mlp.hook_pre": ["L1.N0"]
    }
    with pytest.raises(SettingsError, match=r"No neuron of mlp.hook_pre is selected"):
        prepare_subset(config.with_flags(probe_location="mlp.hook_pre", **of_file))


def test_running_again_does_nothing(config, monkeypatch):
    folder = activation_subset(config)
    before = modification_times(folder)
    monkeypatch.setattr(LanguageModel, "run", None)
    activation_subset(config)
    assert modification_times(folder) == before


@pytest.mark.parametrize("name", ["parts/part-000001.parquet", "token_summary.parquet", "by_neuron/L0.N3.parquet"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_exactly_the_damaged_files_are_made_again(config, name, damage):
    folder = activation_subset(config)
    before = modification_times(folder, "*.parquet")
    unbroken, path = tables(folder), folder / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[:-9] if damage == "cut" else bytes([*data[:99], data[99] ^ 1, *data[100:]]))
    activation_subset(config.with_flags(resume=damage == "flipped"))
    assert tables(folder) == unbroken
    assert {p for p, time in before.items() if p.stat().st_mtime_ns != time} == {path}
    assert (folder / "description.json").exists()


def break_off(config, monkeypatch, after, function="write_derived_tables"):
    """Run until a function was called ``after`` times."""
    calls, call = [], getattr(module, function)

    def stopping(*arguments):
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(call(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(module, function, stopping)
        with pytest.raises(KeyboardInterrupt):
            activation_subset(config)
    return prepare_subset(config).inputs.folder("mlp.hook_post")


@pytest.mark.parametrize("damage", ["flipped", "zeros", "record", "cut"])
@pytest.mark.parametrize("further", [True, False])
def test_a_damaged_part_of_unfinished_work_is_computed_again(config, monkeypatch, caplog, damage, further):
    config = config.with_flags(save_by_neuron=further, skip_computing_token_summary_df=not further)
    unbroken = tables(activation_subset(config.with_flags(results_dir=config.activations.results_dir / "unbroken")))
    folder = break_off(config, monkeypatch, 0)
    path = folder / "parts" / "part-000001.parquet"
    if damage == "flipped":
        flip_bit(path)
    elif damage == "zeros":
        path.write_bytes(bytes(path.stat().st_size))
    elif damage == "cut":
        truncate(path)
    else:
        flip_bit(folder / "records" / "parts" / "part-000001.parquet.json")
    activation_subset(config)
    assert tables(folder) == unbroken
    assert damaged_files(folder) == {}
    warned = [record.getMessage() for record in caplog.records if "is made again" in record.getMessage()]
    assert [str(path) in line for line in warned] == [True] * (damage in ("flipped", "zeros"))


def test_a_damaged_part_of_complete_work_is_not_sealed_into_further_tables(config):
    bare = config.with_flags(save_by_neuron=False, skip_computing_token_summary_df=True)
    folder = activation_subset(bare)
    flip_bit(folder / "parts" / "part-000001.parquet")
    other = activation_subset(config.with_flags(results_dir=config.activations.results_dir / "other"))
    assert tables(activation_subset(config)) == tables(other)
    assert damaged_files(folder) == {}


def test_the_last_process_computes_a_damaged_part_of_another_one(config):
    alone = tables(activation_subset(config.with_flags(results_dir=config.activations.results_dir / "alone")))
    run_subset(prepare_subset(config.with_flags(rank=0, world_size=2)))
    folder = prepare_subset(config).inputs.folder("mlp.hook_post")
    flip_bit(folder / "parts" / "part-000002.parquet")
    assert run_subset(prepare_subset(config.with_flags(rank=1, world_size=2)))
    assert tables(folder) == alone


@pytest.mark.parametrize("n_written", [0, 1, 2])
def test_an_interrupted_run_resumes_and_gives_the_same_bytes(config, monkeypatch, n_written):
    unbroken = tables(activation_subset(config.with_flags(results_dir=config.activations.results_dir / "unbroken")))
    folder = break_off(config, monkeypatch, n_written, "write_part")
    assert sorted(tables(folder)) == [f"parts/part-00000{part}.parquet" for part in range(n_written)]
    assert not (folder / "description.json").exists()
    assert tables(activation_subset(config)) == unbroken


SCRIPT = """
import sys
from pathlib import Path
from sparse_probing.activations.subset import prepare
from sparse_probing.activations.subset.activation_subset import activation_subset
from sparse_probing.config import HarvestConfig
prepare.PART_SEQUENCES = 10
model, root, results = sys.argv[1:]
activation_subset(HarvestConfig.from_flags(
    experiment_type="neuron_subset", model=model, feature_dataset="natural_lang_id.tiny.64.-1", n_threads=1,
    feature_dataset_dir=Path(root), results_dir=Path(results), neuron_subset=("1,47", "0,3", "1,0"), batch_size=1,
))
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_bytes(config, tiny_model_dir, tiny_dataset_root, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "PART_SEQUENCES", 10)
    config = config.with_flags(batch_size=1)
    unbroken = tables(activation_subset(config.with_flags(results_dir=tmp_path / "unbroken")))
    arguments = map(str, [tiny_model_dir, tiny_dataset_root, config.activations.results_dir])
    killed = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stderr=subprocess.PIPE)
    folder = prepare_subset(config).inputs.folder("mlp.hook_post")
    while not (folder / "parts" / "part-000001.parquet").exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.002)
    killed.kill()
    assert killed.wait() == -9
    assert 2 <= len(tables(folder)) < 27
    assert tables(activation_subset(config)) == unbroken


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_ranks_share_the_parts_and_the_last_one_completes_the_tables(config, order):
    alone = tables(activation_subset(config.with_flags(results_dir=config.activations.results_dir / "alone")))
    done = [run_subset(prepare_subset(config.with_flags(rank=rank, world_size=2))) for rank in order]
    assert done == [False, True]
    assert tables(prepare_subset(config).inputs.folder("mlp.hook_post")) == alone


def test_other_neurons_are_refused_until_overwritten(config):
    folder = activation_subset(config)
    other = config.with_flags(neuron_subset=("0,1",))
    with pytest.raises(StoreError, match=r"neurons: \['L0.N3', .*\] -> \['L0.N1'\].*--overwrite"):
        activation_subset(other)
    assert list(read(folder).columns[3:]) == NAMES
    activation_subset(other.with_flags(overwrite=True))
    assert list(read(folder).columns[3:]) == ["L0.N1"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"neuron_subset": ("0,3", "0,48", "7,1")}, ModelError, "has no neuron L0.N48, L7.N1: it has layers 0 to 1"),
        ({"neuron_subset": ()}, SettingsError, "No neuron of mlp.hook_post is selected"),
        ({"layers": (0,), "neuron_subset": ("1,1",)}, SettingsError, "No neuron of mlp.hook_post is selected"),
        ({"positions": (64,)}, DatasetError, "there is no position 64"),
        ({"activation_aggregation": "mean"}, SettingsError, "single tokens"),
    ],
)
def test_bad_input(config, change, error, message):
    with pytest.raises(error, match=message):
        activation_subset(config.with_flags(**change))
    assert not config.activations.results_dir.exists()


def test_activations_that_are_not_finite_are_refused(config, monkeypatch):
    def broken(model, tokens, mask, hooks):
        for hook in hooks.values():
            hook(torch.full((*tokens.shape, 48), torch.nan))

    prepared = prepare_subset(config)
    monkeypatch.setattr(LanguageModel, "run", broken)
    with pytest.raises(ActivationError, match=r"mlp.hook_post, L0.N3: \d+ activations of a part are NaN"):
        run_subset(prepared)


def test_summary(config):
    assert " tokens, neurons mlp.hook_post 3, 3 parts, in " in summary(prepare_subset(config))
