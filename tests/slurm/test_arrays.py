"""Stage 2 as arrays on a real Slurm: the same results as anywhere, and nothing is lost or run twice."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import probing_experiment
from sparse_probing.runs.tasks.published_results import ROWS, task_folder
from tests.builders.runs import flip_byte, folder_with_traps, noise_labels

SCRIPT = Path(probing_experiment.__file__)
ONE_LAYER = ("--layers", "0")


@pytest.fixture
def twelve_tasks(plant):
    """Two layers of six features."""
    return plant(**noise_labels(4))


def test_twelve_tasks_on_three_nodes_give_the_bytes_of_debug_and_local(
    slurm, probe, states, twelve_tasks, monkeypatch, tmp_path, results
):
    monkeypatch.chdir(tmp_path)  # a launch from any folder
    status, _, err = probe("--throttle", 4)
    assert (status, err) == (0, "")
    at_once = Counter()

    def ended():
        counts = Counter(slurm.queue().values())
        at_once[counts["RUNNING"]] += 1
        return counts["COMPLETED"] == 12

    slurm.wait_for(ended, 200)
    assert max(at_once) == 4
    assert set(slurm.queue("%N").values()) == {"n1", "n2", "n3"}
    assert states() == {"done": 12}
    assert len(set(results.jobs().values())) == 12
    on_slurm, activations = results.rows(), tmp_path / "results" / "activations"
    for cluster in ("debug", "local"):
        monkeypatch.setenv("RESULTS_DIR", str(tmp_path / cluster))
        assert probe("--activations_dir", activations, "--workers", 2, cluster=cluster)[0] == 0
        assert results.rows() == on_slurm


def test_an_array_larger_than_the_cluster_accepts(slurm, probe, states, twelve_tasks, results):
    with slurm.configured(MaxArraySize=3):
        assert probe()[0] == 0
        assert len(slurm.queue()) == 3
        slurm.wait_for_end(200)
    assert states() == {"done": 12}
    assert Counter(results.jobs().values()) == dict.fromkeys(slurm.queue(), 4)


def test_failed_tasks_run_again_only_on_request_and_their_dependants_are_cancelled(slurm, probe, states, plant):
    shard = plant().store_folder() / "mlp.hook_post" / "layer_00" / "c.1.0"
    intact = shard.read_bytes()
    shard.write_bytes(intact[:100])
    assert probe()[0] == 0
    (array,) = {job.split("_")[0] for job in slurm.queue()}
    assert probe("--after", array, "--experiment_type", "dense_probe")[0] == 0
    ended = slurm.wait_for_end()
    assert ended == {"COMPLETED": 2, "FAILED": 2, "CANCELLED": 4}
    assert states() == {"done": 2, "failed": 2}
    shard.write_bytes(intact)
    assert probe()[0] == 1
    assert states() == {"done": 2, "failed": 2}
    assert len(slurm.queue()) == 8
    assert probe("--retry_failed")[0] == 0
    slurm.wait_for_end()
    assert len(slurm.queue()) == 10
    assert states() == {"done": 4}


def test_only_a_damaged_result_is_computed_again_and_it_is_kept_aside(slurm, probe, states, plant, results):
    plant()
    assert probe(cluster="debug")[0] == 0
    run = results.run
    expected, key = results.rows(), list(run.tasks)[2]
    flip_byte(task_folder(run.path, key) / ROWS)
    assert states() == {"done": 3, "corrupt": 1}
    assert probe()[0] == 0
    assert slurm.wait_for_end() == {"COMPLETED": 1}
    assert states() == {"done": 4}
    assert results.rows() == expected
    assert [path.name.split("-")[0] for path in (run.path / "damaged").iterdir()] == [key]


def test_jobs_import_nothing_from_the_folder_of_the_launch(slurm, probe, states, plant, flags, tmp_path):
    plant()
    folder = folder_with_traps(tmp_path / "folder of a user")
    command = [sys.executable, SCRIPT, *flags, "--cluster", "slurm", *ONE_LAYER, "--wait"]
    launcher = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (launcher.returncode, launcher.stderr) == (0, "")
    assert states(*ONE_LAYER) == {"done": 2}


def test_two_launchers_at_once_submit_every_task_once(slurm, probe, states, plant, flags):
    plant()
    command = [sys.executable, SCRIPT, *flags, "--cluster", "slurm", *ONE_LAYER]
    launchers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [launcher.wait() for launcher in launchers] == [0, 0]
    assert slurm.wait_for_end() == {"COMPLETED": 2}
    assert states(*ONE_LAYER) == {"done": 2}


def test_what_a_launcher_submitted_before_it_was_killed_is_not_submitted_again(
    slurm, probe, states, plant, flags, tmp_path, monkeypatch
):
    plant()
    deadly, path = tmp_path / "sbatch", os.environ["PATH"]
    deadly.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@"\nkill -9 $PPID\n')
    deadly.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{path}")
    launcher = subprocess.run([sys.executable, SCRIPT, *flags, "--cluster", "slurm", *ONE_LAYER])
    assert launcher.returncode == -signal.SIGKILL
    monkeypatch.setenv("PATH", path)
    assert len(slurm.queue()) == 2
    assert probe(*ONE_LAYER)[0] == 0
    assert len(slurm.queue()) == 2
    assert slurm.wait_for_end() == {"COMPLETED": 2}
    assert states(*ONE_LAYER) == {"done": 2}


def test_an_array_that_slurm_accepted_and_sbatch_gave_up_on_is_not_submitted_again(
    slurm, probe, states, plant, tmp_path, monkeypatch
):
    """A controller under load answers too late: sbatch reports an error, and the jobs exist."""
    plant()
    hasty = tmp_path / "sbatch"
    hasty.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@"\necho Socket timed out >&2\nexit 1\n')
    hasty.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        status, _, err = probe(*ONE_LAYER)
    assert status == 1
    assert "Socket timed out" in err
    assert probe(*ONE_LAYER)[0] == 0
    assert len(slurm.queue()) == 2
    assert slurm.wait_for_end() == {"COMPLETED": 2}
    assert states(*ONE_LAYER) == {"done": 2}


def test_a_task_killed_during_a_write_is_lost_and_only_it_runs_again(slurm, probe, states, plant, mid_write, results):
    plant()
    assert probe(*ONE_LAYER)[0] == 0
    slurm.wait_for(mid_write.reached)
    os.kill(mid_write.pid, signal.SIGKILL)
    slurm.wait_for_end()
    assert states(*ONE_LAYER) == {"done": 1, "lost": 1}
    before = results.jobs()
    assert probe(*ONE_LAYER)[0] == 0
    slurm.wait_for_end()
    assert states(*ONE_LAYER) == {"done": 2}
    assert before.items() < results.jobs().items()


def test_a_dry_run_prints_the_script_and_asks_slurm(slurm, probe, plant):
    results = plant().activations.results_dir
    status, out, err = probe("--dry_run", "--partition", "low", "--throttle", 3)
    assert (status, err) == (0, "")
    assert "#SBATCH --partition=low" in out
    assert "%3" in out
    assert not slurm.queue()
    assert not list(results.rglob("run.json"))


def test_a_dry_run_shows_what_slurm_would_refuse(slurm, probe, plant):
    plant()
    _, out, err = probe("--dry_run", "--partition", "none_such")
    assert "invalid partition specified: none_such" in out
    assert not slurm.queue()


def test_an_array_that_slurm_refuses_is_an_error_and_the_tasks_are_still_to_do(slurm, probe, states, plant):
    plant()
    status, _, err = probe("--partition", "none_such")
    assert status == 1
    assert "Invalid partition name specified" in err
    assert states() == {"todo": 4}
