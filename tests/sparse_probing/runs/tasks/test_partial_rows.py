"""Kept rows of a task that is not finished: exact, separate for each task, and used after an interruption."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from sparse_probing.runs.tasks.partial_rows import INTERRUPTED, PARTIAL, Checkpoints

ROW = {"feature": "a", "k": 2, "support": [3, 5], "coef": [0.5, np.nan], "proof": b"\x00log", "status": "fine"}


def test_rows_are_read_as_they_were_kept(tmp_path):
    kept = Checkpoints(tmp_path, "key")
    assert kept.read("one") is None
    kept.keep("one", [ROW, ROW])
    first, second = kept.read("one")
    assert {name: first[name] for name in ROW if name != "coef"} == {n: v for n, v in ROW.items() if n != "coef"}
    np.testing.assert_array_equal(first["coef"], ROW["coef"])
    assert first["layer"] is None
    assert len(second) == len(first)


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_no_changed_bit_of_kept_rows_is_read(tmp_path, suffix, caplog):
    kept = Checkpoints(tmp_path, "key")
    path = kept.keep("one", [ROW]).with_suffix(suffix)
    content = path.read_bytes()
    for position in range(0, len(content), 11):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        assert kept.read("one") is None
    assert "is damaged: its probes are fitted again." in caplog.text
    path.write_bytes(content[:-20])
    assert kept.read("one") is None
    path.write_bytes(content)
    assert kept.read("one") is not None


def test_kept_rows_of_another_task_or_another_name_are_not_read(tmp_path):
    path = Checkpoints(tmp_path, "key").keep("one", [ROW])
    for key, name in (("key", "two"), ("other", "one")):
        moved = Checkpoints(tmp_path, key).path(name)
        moved.parent.mkdir(exist_ok=True)
        for suffix in (".parquet", ".json"):
            shutil.copy(path.with_suffix(suffix), moved.with_suffix(suffix))
        assert Checkpoints(tmp_path, key).read(name) is None


def test_rows_without_their_checksum_were_interrupted(tmp_path):
    Checkpoints(tmp_path, "key").keep("one", [ROW]).with_suffix(".json").unlink()
    assert Checkpoints(tmp_path, "key").read("one") is None


def test_tasks_do_not_share_rows_and_are_removed_separately(tmp_path):
    one, other = Checkpoints(tmp_path, "one"), Checkpoints(tmp_path, "other")
    one.keep("a", [ROW])
    other.keep("a", [])
    one.remove()
    one.remove()
    assert one.read("a") is None
    assert other.read("a") == []
    assert os.listdir(tmp_path / PARTIAL) == ["other"]


SCRIPT = """
import signal, sys
from sparse_probing.runs.tasks import run_task as worker
from sparse_probing.studies.optimal.candidates import Candidates

search, calls = Candidates.search, []

def interrupted_search(self, *arguments, **options):
    calls.append(1)
    if len(calls) == 3:  # between two searches, before the second feature's first support
        signal.raise_signal(signal.{signal})
    return search(self, *arguments, **options)

Candidates.search = interrupted_search
{before}
worker.run_task({path!r}, {key!r})
"""
UNDER_SUBMITIT = """
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission

signal.signal(signal.SIGTERM, SignalHandler(None, None, DelayedSubmission(print)).bypass)
"""
IGNORED = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before", "status"),
    [
        ("SIGINT", "", -signal.SIGINT),
        ("SIGTERM", "", -signal.SIGTERM),
        ("SIGTERM", UNDER_SUBMITIT, 1),
        ("SIGTERM", IGNORED, 1),
    ],
)
def test_an_interrupted_task_keeps_finished_features_and_the_supports_found_so_far(name, before, status, plant):
    from sparse_probing.runs.planning.create_run import create_run
    from sparse_probing.runs.tasks.run_task import run_task
    from sparse_probing.studies.base.result_rows import read_rows

    config = plant()
    config = config.with_flags(experiment_type=("optimal_sparse_probing",), osp_upto_k=2, controls=(), layers=(1,))
    run = create_run(config.with_flags(features_per_task=10))
    (key,) = run.tasks
    assert len(run.tasks[key].features) >= 2
    script = SCRIPT.format(signal=name, before=before, path=str(run.path), key=key)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == status, ended.stderr
    folder = Checkpoints(run.path, key).folder
    kept = read_rows(sorted(folder.glob("variant*.parquet")))
    assert set(kept["feature"]) == {run.tasks[key].features[0]}
    found = read_rows([folder / f"{INTERRUPTED}.parquet"])
    assert found.groupby("feature")["k"].max().to_dict() == dict(zip(run.tasks[key].features, (2, 1), strict=True))
    assert not (run.path / "tasks" / key).exists()
    record = run_task(str(run.path), key)
    assert not record.failed_features
    assert not folder.exists()
