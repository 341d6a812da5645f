"""status, logs and cancel, as a person types them."""

import json
import sys

import pytest

import probing_experiment
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run import settings_folder
from sparse_probing.runs.slurm.submissions import LOGS, lock_of, new_submission, record_submission, submission_folder
from sparse_probing.runs.tasks import attempt_task as entry

PLANTED = ["--model", "tiny", "--feature_dataset", "made.tiny.16.-1", "--cluster", "debug"]
PLANTED += ["--max_k", "8", "--n_neurons", "6", "--features_per_task", "1"]


@pytest.fixture
def script(monkeypatch, capsys):
    """A function that runs the script in this process and returns exit status, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["probing_experiment.py", *map(str, arguments)])
        status = probing_experiment.main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def run(plant):
    """A run that is planned, by the settings that PLANTED names."""
    return create_run(plant())


def test_status_follows_a_run_from_its_plan_to_its_end(script, run):
    status, out, err = script("status", *PLANTED)
    assert (status, err) == (1, "error: 4 of 4 tasks are not done.\n")
    assert str(run.path) in out
    assert script(*PLANTED)[0] == 0
    status, out, err = script("status", *PLANTED)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].split() == ["all", "4"]


def test_status_by_the_folder_of_the_run_or_of_its_settings(script, run):
    for folder in (run.path, run.folder):
        status, out, _ = script("status", "--run", folder, "--json")
        assert status == 1
        assert json.loads(out)["run"] == str(run.path)
        assert [task["key"] for task in json.loads(out)["tasks"]] == list(run.tasks)


def test_status_of_what_was_never_launched(script, plant):
    config = plant()
    status, out, err = script("status", *PLANTED)
    assert (status, out) == (1, "")
    assert f"No run of these settings is planned in {settings_folder(config)}. Launch it" in err


def test_logs_have_the_traceback_of_a_failed_task(script, run, monkeypatch):
    def broken(run_path, key):
        raise ProbeError("nothing to fit")

    monkeypatch.setattr(entry, "run_task", broken)
    assert script(*PLANTED)[0] == 1
    key = next(iter(run.tasks))
    status, out, _ = script("logs", key[:9], *PLANTED)
    assert status == 0
    assert out.startswith(f"task {key}: heuristic_sparsity_sweep, layer 0, features strong\n")
    assert 'raise ProbeError("nothing to fit")' in out


def test_logs_of_a_finished_task(script, run):
    assert script(*PLANTED)[0] == 0
    _, out, _ = script("logs", next(iter(run.tasks)), "--run", run.path)
    assert "\ndone in " in out


def test_logs_of_a_job_that_never_began_its_task(script, run):
    keys = list(run.tasks)
    submission = new_submission("probe", "slurm", 2, [keys[:3], keys[3:]])
    record_submission(run.folder, type(submission)(**{**vars(submission), "phase": "submitted", "job_id": "12"}))
    logs = submission_folder(run.folder, submission.id) / LOGS
    logs.mkdir()
    (logs / "12_1_0_log.out").write_text("".join(f"line {i}\n" for i in range(50)))
    _, out, _ = script("logs", keys[3], *PLANTED)
    assert f"{logs}/12_1_0_log.out, the last 40 of 50 lines:\n  line 10\n" in out
    assert out.endswith("  line 49\n")


@pytest.mark.parametrize("key", ["", "none such"])
def test_logs_of_no_single_task(script, run, key):
    status, _, err = script("logs", key, *PLANTED)
    assert status == 1
    assert f"{4 if not key else 0} tasks of {run.path} have a key that begins with {key!r}" in err


def test_logs_of_stage_one_when_there_are_none(script, run):
    assert script("logs", "harvest", *PLANTED)[1] == "No jobs of stage 1 were submitted for this store.\n"


def test_cancel_names_a_process_that_is_at_it(script, run):
    submission = new_submission("probe", "local", 4, [[key] for key in run.tasks])
    record_submission(run.folder, submission)
    with locked(lock_of(run.folder, submission.id)):
        status, out, _ = script("cancel", *PLANTED)
    assert status == 0
    assert f"process {submission.pid} on {submission.host} is at it" in out
    assert script("cancel", *PLANTED)[1] == ""


@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
def test_help(script, command):
    with pytest.raises(SystemExit) as stopped:
        script(command, "--help")
    assert stopped.value.code == 0


def test_a_dry_run_writes_nothing(script, plant):
    config = plant()
    status, out, err = script(*PLANTED, "--dry_run")
    assert (status, err) == (0, "")
    assert out.startswith("4 tasks (4 todo) in ")
    assert not (config.activations.results_dir / "probing").exists()
