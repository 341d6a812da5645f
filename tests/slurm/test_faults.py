"""Faults of a cluster: jobs that die at their start, time limits, nodes and controllers that die, full disks."""

import json
import os
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest

from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.runs.planning.run_record import RUN_RECORD, RunRecord
from sparse_probing.runs.slurm.job import CALLS
from sparse_probing.runs.status.deaths import last_line
from sparse_probing.runs.submissions import RECORD, job_files, read_submissions, submission_folder
from sparse_probing.runs.tasks.attempt_records import attempts_of
from sparse_probing.runs.tasks.partial_rows import INTERRUPTED, Checkpoints
from sparse_probing.runs.tasks.published_results import read_record
from tests.builders.runs import flip_byte

ONE_LAYER = ("--layers", 0)
ONE_TASK = ("--layers", 1, "--feature_subset", "strong")


@pytest.fixture
def broken(tmp_path):
    """Flags that let every job die when it imports submitit."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "submitit.py").write_text("raise ImportError('no submitit on this node')\n")
    return ("--setup", f"export PYTHONPATH={shlex.quote(str(tmp_path / 'broken'))}:$PYTHONPATH")


@pytest.fixture
def hold(probe, plant, results):
    """A function that submits tasks whose jobs are held in the queue; it returns their run and their submission."""

    def submit(flags):
        plant()
        assert probe(*flags, "--sbatch_parameters", "hold")[0] == 0
        (submission,) = read_submissions(results.run.folder)
        return results.run, submission

    return submit


def test_jobs_that_die_at_their_start_are_named_with_their_log_and_run_again(
    slurm, probe, states, plant, broken, caplog
):
    plant()
    status, _, err = probe(*ONE_LAYER, *broken, "--wait")
    assert status == 1
    assert err.startswith("error: 2 tasks or features failed; finished results are kept.\ntask ")
    assert err.count("It ends with: ImportError: no submitit on this node. The same command runs it again.") == 2
    assert states(*ONE_LAYER) == {"died": 2}
    _, out, _ = probe(*ONE_LAYER, "--json", command=["status"])
    logs = [task["log"] for task in json.loads(out)["tasks"]]
    _, out, _ = probe(*ONE_LAYER, command=["status"])
    assert all(f"ended before the task began. Log: {log}\n" in out for log in logs)

    assert probe(*ONE_LAYER, *broken)[0] == 0
    assert "in a row" not in caplog.text
    assert slurm.wait_for_end() == {"FAILED": 4}
    assert probe(*ONE_LAYER)[0] == 0
    assert "The jobs of 2 tasks died 2 times in a row before the tasks began" in caplog.text
    assert "ends with: ImportError: no submitit on this node" in caplog.text
    assert slurm.wait_for_end() == {"FAILED": 4, "COMPLETED": 2}
    assert states(*ONE_LAYER) == {"done": 2}


def test_a_job_whose_calls_were_changed_died_and_a_cancelled_job_did_not(slurm, probe, states, hold):
    run, submission = hold(ONE_LAYER)
    (submission_folder(run.folder, submission) / CALLS).write_text("{")
    slurm.run("scontrol", "release", submission.job_id)
    assert slurm.wait_for_end() == {"FAILED": 2}
    assert states(*ONE_LAYER) == {"died": 2}

    assert probe(*ONE_TASK, "--sbatch_parameters", "hold")[0] == 0
    assert states(*ONE_TASK) == {"pending": 1}
    assert probe(*ONE_TASK, command=["cancel"])[1].startswith("cancelled probe-")
    slurm.wait_for_end()
    assert states(*ONE_TASK) == {"todo": 1}


LONG_SEARCH = ("--experiment_type", "optimal_sparse_probing", "--osp_ridge", 1e4, "--osp_upto_k", 8, "--layers", 0)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancel", "scancel", "requeue", "preemption"])
def test_a_search_that_is_interrupted_is_not_published_and_runs_again(slurm, probe, states, plant, results, how):
    """submitit ignores the SIGTERM that Slurm sends; the search has noted it, and ends early."""
    plant()
    search = (*LONG_SEARCH, "--feature_subset", "strong")
    status, _, err = probe(*search, "--partition", "low")
    assert status == 0, err
    run = results.run
    (key,) = run.tasks
    slurm.wait_for(lambda: attempts_of(run.path, key))
    time.sleep(2)  # the third support or so of eight; each of the last takes more seconds than this
    (job,) = slurm.queue()
    if how == "cancel":
        probe(*search, command=["cancel"])
    elif how == "preemption":
        slurm.sbatch("--nodes=3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 5")
    else:
        slurm.run("scancel" if how == "scancel" else "scontrol", *(["requeue"] if how == "requeue" else []), job)
    slurm.wait_for(lambda: slurm.queue()[job] in ("CANCELLED", "PENDING"))
    time.sleep(4)  # longer than KillWait
    kept = Checkpoints(run.path, key).folder
    names = {path.stem for path in kept.iterdir()} if kept.exists() else set()
    assert names <= {INTERRUPTED}  # no feature as a finished one
    assert states(*search) == ({"lost": 1} if "cancel" in how else {"pending": 1})
    if "cancel" not in how:
        n_attempts = len(attempts_of(run.path, key))
        slurm.wait_for(lambda: len(attempts_of(run.path, key)) > n_attempts)
    assert read_record(run.path, key, run.tasks[key]) is None


@pytest.mark.parametrize("damage", [flip_byte, Path.unlink])
def test_jobs_of_a_damaged_submission_are_not_submitted_again_and_can_be_cancelled(slurm, probe, states, hold, damage):
    run, submission = hold(ONE_LAYER)
    damage(submission_folder(run.folder, submission) / RECORD)
    assert states(*ONE_LAYER) == {"unknown": 2}
    status, _, err = probe(*ONE_LAYER)
    assert status == 1
    assert f"error: The record of {submission.id} is damaged, and its jobs are queued or running" in err
    assert len(slurm.queue()) == 2
    assert probe(*ONE_LAYER, command=["cancel"])[1] == f"cancelled {submission.id}, job {submission.job_id}\n"
    assert set(slurm.wait_for_end()) == {"CANCELLED"}
    assert states(*ONE_LAYER) == {"todo": 2}


def test_jobs_whose_code_changed_after_they_were_submitted_publish_nothing(slurm, states, hold):
    run, submission = hold(ONE_TASK)
    record = read_sealed(run.path / RUN_RECORD, RunRecord)
    write_sealed(run.path / RUN_RECORD, replace(record, config=record.config | {"seed": 1}))
    slurm.run("scontrol", "release", submission.job_id)
    assert slurm.wait_for_end() == {"FAILED": 1}
    write_sealed(run.path / RUN_RECORD, record)
    assert states(*ONE_TASK) == {"died": 1}
    (log,) = job_files(run.folder, submission, "log.out").values()
    assert last_line(log).endswith("the code changed since this was submitted; launch again.")
    assert not (run.path / "tasks").exists()


@pytest.mark.slow
def test_a_job_that_runs_out_of_time_resumes_its_unfinished_task(slurm, probe, states, plant, mid_write, results):
    """The first task that is written stops there until its job runs out of time; the second starts at its beginning."""
    plant()
    assert probe("--tasks_per_job", 2, *ONE_LAYER, "--time", 1)[0] == 0
    slurm.wait_for(mid_write.reached)
    first = mid_write.pid
    slurm.wait_for(lambda: not os.path.exists(f"/proc/{first}"), 150)
    slurm.wait_for(lambda: states(*ONE_LAYER) == {"done": 2}, 60)
    slurm.wait_for_end()
    assert set(results.jobs().values()) == set(slurm.queue())


@pytest.mark.slow
def test_a_task_of_a_node_that_died_runs_on_another_node(slurm, probe, states, plant, mid_write, results):
    """The process survives the daemon of its node, so that two processes run one task; both end well."""
    plant()
    assert probe(*ONE_TASK)[0] == 0
    slurm.wait_for(mid_write.reached)
    (node,) = slurm.queue("%N").values()
    slurm.kill(f"slurmd.{node}")
    try:
        slurm.wait_for(lambda: states(*ONE_TASK) == {"done": 1}, 120)
        assert set(slurm.queue("%N").values()) != {node}
        (before,) = results.rows().values()
        mid_write.let_go()
        slurm.wait_for(lambda: not os.path.exists(f"/proc/{mid_write.pid}"))
    finally:
        slurm.start("slurmd", "-N", node)
    assert states(*ONE_TASK) == {"done": 1}
    assert list(results.rows().values()) == [before]
    slurm.wait_for(lambda: slurm.nodes() == ["idle"] * 3)


@pytest.mark.slow
def test_without_an_answer_of_slurm_nothing_is_submitted(slurm, probe, states, plant, mid_write):
    plant()
    assert probe()[0] == 0
    slurm.wait_for(mid_write.reached)
    slurm.kill("slurmctld")
    try:
        status, _, err = probe()
        assert status == 1
        assert "Slurm does not answer" in err
        assert "unknown" in states()
    finally:
        slurm.start("slurmctld")
    slurm.wait_for(slurm.answers)
    n_jobs = len(slurm.queue())
    assert probe()[0] == 0
    assert len(slurm.queue()) == n_jobs
    mid_write.let_go()
    assert slurm.wait_for_end() == {"COMPLETED": 4}
    assert states() == {"done": 4}


@pytest.mark.slow
def test_a_preempted_job_is_requeued_and_runs_the_remaining_tasks(slurm, probe, states, plant, mid_write):
    plant()
    assert probe("--partition", "low", "--tasks_per_job", 2)[0] == 0
    slurm.wait_for(mid_write.reached)
    first = mid_write.pid
    slurm.sbatch("--nodes=3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 2")
    slurm.wait_for(lambda: not os.path.exists(f"/proc/{first}"))
    slurm.wait_for(lambda: states() == {"done": 4}, 120)


@pytest.mark.slow
def test_on_a_full_disk_no_result_is_published_and_the_next_launch_runs_the_tasks(slurm, probe, states, plant):
    plant()
    assert probe("--setup", "ulimit -f 5")[0] == 0
    slurm.wait_for_end()
    assert not states().get("done")
    assert probe("--retry_failed")[0] == 0
    slurm.wait_for_end()
    assert states() == {"done": 4}
