"""Interruptions at any moment, several processes, and damaged checkpoints: the same bytes are published."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import TaskError
from sparse_probing import train_online
from sparse_probing.online import checkpoints, pass_over_texts
from sparse_probing.online.fit_rows import RowFits
from sparse_probing.online.learners.rows import KeptRows
from sparse_probing.online.train_online import run_online
from tests.builders.harvests import file_contents, flip_bit
from tests.builders.online import MIXED, mixed_dataset, online_settings, prepare_with

PUBLISHED = ("description.json", "metrics.csv", "plan.json", "rows.parquet")


@pytest.fixture(scope="module")
def root(tiny_dataset_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    base = load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root)
    mixed_dataset(base, np.arange(0, 270, 3)).save(folder / MIXED)
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Several blocks, and a checkpoint after each block and each place."""
    monkeypatch.setattr(pass_over_texts, "BLOCK_SEQUENCES", 20)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)


@pytest.fixture
def prepare(tiny_model_dir, root, tmp_path):
    """Prepare the run in a folder of results; always with the same names of folders, which the description holds."""

    def prepared(**flags):
        flags = {"pooling": ("mean", "none"), "feature_subset": ("German", "length"), "batch_size": 8, **flags}
        return prepare_with(tiny_model_dir, root, tmp_path / "results", **flags)

    return prepared


def published(folder: Path) -> dict[str, bytes]:
    contents = file_contents(folder)
    assert set(contents) == {*PUBLISHED, "records/metrics.csv.json", "records/rows.parquet.json"}
    return {name: contents[name] for name in PUBLISHED}


def removed(prepared) -> None:
    for path in sorted(prepared.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


class Killed(BaseException):
    """Ends a run as a kill does, without any handler."""


def run_until(prepared, monkeypatch, owner, name, n_calls):
    """Run; the call of a method after ``n_calls`` ends the run."""
    method, calls = getattr(owner, name), []

    def counted(self, *arguments):
        calls.append(1)
        if len(calls) > n_calls:
            raise Killed
        return method(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, counted)
        with pytest.raises(Killed):
            run_online(prepared)


def test_an_interrupted_run_publishes_the_same_bytes(prepare, monkeypatch):
    prepared = prepare()
    assert run_online(prepared)
    whole = published(prepared.folder)
    removed(prepared)
    n_batches = n_places = 0
    for owner, name, n_calls in ((KeptRows, "put", 3), (KeptRows, "put", 7), (RowFits, "fit", 0), (RowFits, "fit", 2)):
        run_until(prepared, monkeypatch, owner, name, n_calls)
        n_batches += len(list(prepared.folder.glob("checkpoints/blocks-*.safetensors")))
        n_places += len(list(prepared.folder.glob("checkpoints/fits-*.json")))
    assert n_batches > 9
    assert n_places == 2
    with monkeypatch.context() as patch:  # all texts are read, and two places are fitted
        patch.setattr("sparse_probing.activations.model_pass.forward_pass._run_within_memory", None)
        assert run_online(prepared)
    assert published(prepared.folder) == whole


def test_damaged_checkpoints_are_made_again(prepare, monkeypatch, caplog):
    prepared = prepare()
    assert run_online(prepared)
    whole = published(prepared.folder)
    removed(prepared)
    run_until(prepared, monkeypatch, RowFits, "fit", 2)
    blocks = sorted(prepared.folder.glob("checkpoints/blocks-*.safetensors"))
    flip_bit(blocks[1])
    flip_bit(prepared.folder / "checkpoints/fits-00000.parquet")
    assert run_online(prepared)
    assert "its probes are fitted again" in caplog.text
    assert "its texts are run again" in caplog.text
    assert published(prepared.folder) == whole


def test_fits_that_are_lost_after_a_resumed_pass_are_made_again(prepare, monkeypatch):
    """Parts of a resumed pass hold the rows of the places that were not fitted then, and more are missing later."""
    prepared = prepare()
    assert run_online(prepared)
    whole = published(prepared.folder)
    removed(prepared)
    run_until(prepared, monkeypatch, RowFits, "fit", 1)
    for part in prepared.folder.glob("checkpoints/blocks-*"):
        part.unlink()
    run_until(prepared, monkeypatch, KeptRows, "put", 7)
    assert list(prepared.folder.glob("checkpoints/blocks-*"))
    flip_bit(prepared.folder / "checkpoints/fits-00000.parquet")
    assert run_online(prepared)
    assert published(prepared.folder) == whole


def test_checkpoints_that_an_interruption_left_in_a_finished_run_are_removed(prepare, monkeypatch):
    prepared = prepare()
    with monkeypatch.context() as patch:
        patch.setattr("sparse_probing.online.train_online.shutil.rmtree", lambda *_, **__: None)
        assert run_online(prepared)
    assert list(prepared.folder.glob("checkpoints/blocks-*"))
    assert run_online(prepared)
    assert not (prepared.folder / "checkpoints").exists()


def test_several_processes_publish_what_one_does(prepare):
    assert run_online(prepare())
    whole = published(prepare().folder)
    removed(prepare())
    shares = [prepare(world_size=3, rank=rank) for rank in range(3)]
    assert [run_online(share) for share in shares] == [False, False, True]
    both = published(shares[2].folder)
    assert both["rows.parquet"] == whole["rows.parquet"]
    assert all(run_online(share) for share in shares)


def test_a_process_of_several_says_that_others_are_missing(tiny_model_dir, root, tmp_path):
    config = online_settings(tiny_model_dir, root, tmp_path, feature_subset=("German",), world_size=2, rank=1)
    with pytest.raises(TaskError, match="Process 1 of 2 has read its texts"):
        train_online(config)


SCRIPT = """
import sys
from sparse_probing.online import checkpoints, pass_over_texts
from sparse_probing.commands.get_activations import main
pass_over_texts.BLOCK_SEQUENCES, checkpoints.SECONDS = 20, 0.0
sys.exit(main())
"""


@pytest.mark.slow
def test_kill_minus_9_and_the_same_command(prepare, tiny_model_dir, root, tmp_path):
    prepared = prepare()
    assert run_online(prepared)
    whole = published(prepared.folder)
    removed(prepared)
    flags = ["--model", tiny_model_dir, "--feature_dataset", MIXED, "--feature_dataset_dir", root, "--controls"]
    flags += ["--results_dir", tmp_path / "results", "--regularization", "1", "--pooling", "mean", "none"]
    flags += ["--batch_size", "8", "--feature_subset", "German", "length", "--experiment_type", "online_probes"]
    command = [sys.executable, "-c", SCRIPT, *map(str, flags)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment)
    while process.poll() is None and not list(prepared.folder.glob("checkpoints/blocks-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (prepared.folder / "description.json").exists()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert published(prepared.folder)["rows.parquet"] == whole["rows.parquet"]
