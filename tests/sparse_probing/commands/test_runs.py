"""status, logs, cancel and verify, as a person types them."""

import json
import re
import sys

import numpy as np
import pytest

import get_activations
import probing_experiment
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.commands.get_activations import COMMANDS
from sparse_probing.commands.runs import RUN_COMMANDS
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import RUN_RECORD, settings_folder
from sparse_probing.runs.submissions import alive_lock, read_submissions
from sparse_probing.runs.tasks import entry_points as entry
from sparse_probing.runs.tasks.attempt_records import begin_attempt
from tests.builders.harvests import truncate
from tests.builders.runs import PLANTED_FLAGS, end_job, let_slurm_forget_all_jobs, record_jobs, run_script, write_log

PLANTED = [*PLANTED_FLAGS, "--max_k", "8", "--n_neurons", "6", "--features_per_task", "1"]


@pytest.fixture
def script(monkeypatch, capsys):
    """A function that runs the script in this process and returns exit status, output and errors."""
    return lambda *arguments: run_script(probing_experiment, arguments, monkeypatch, capsys)


@pytest.fixture
def run(plant):
    """A run of the settings that PLANTED names, of which no task has run."""
    return create_run(plant())


def test_status_follows_a_run_from_its_start_to_its_end(script, run):
    status, out, err = script("status", *PLANTED)
    assert status == 1
    assert err.endswith("error: 4 of 4 tasks are not done.\n")  # after what saving the data set shows
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


def test_status_of_a_run_that_was_never_launched(script, plant):
    config = plant()
    status, out, err = script("status", *PLANTED)
    assert (status, out) == (1, "")
    assert f"There is no run of these settings in {settings_folder(config)}. Launch it" in err


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


def test_logs_of_a_job_that_did_not_begin_its_task(script, run):
    keys = list(run.tasks)
    submission = record_jobs(run, "slurm", [keys[:3], keys[3:]], "12")
    log = write_log(run, submission, "12_1", "".join(f"line {i}\n" for i in range(50)))
    _, out, _ = script("logs", keys[3], *PLANTED)
    assert f"{log}, the last 40 of 50 lines:\n  line 10\n" in out
    assert out.endswith("  line 49\n")


@pytest.mark.parametrize("key", ["", "none such"])
def test_logs_of_a_key_of_no_task_or_several(script, run, key):
    status, _, err = script("logs", key, *PLANTED)
    assert status == 1
    assert f"{4 if not key else 0} tasks of {run.path} have a key that begins with {key!r}" in err


def test_logs_of_a_task_whose_result_was_deleted_are_those_of_its_job(script, run):
    submission = record_jobs(run, "slurm", [list(run.tasks)], "12")
    end_job(run, submission, "12")
    _, out, _ = script("logs", next(iter(run.tasks)), *PLANTED)
    assert "12_0_log.out, the last 0 of 0 lines:" in out


def test_status_as_json_names_the_log_of_a_task_that_died(script, run, monkeypatch, tmp_path):
    let_slurm_forget_all_jobs(tmp_path / "bin", monkeypatch)
    submission = record_jobs(run, "slurm", [list(run.tasks)], "12", phase="intent")
    log = write_log(run, submission, "12", "ImportError\n")
    status, out, err = script("status", *PLANTED, "--json", "--run", run.path)
    assert status == 1
    assert err.endswith("error: 4 of 4 tasks are not done.\n")  # after what saving the data set shows
    assert json.loads(out)["counts"]["died"] == 4
    assert {task["log"] for task in json.loads(out)["tasks"]} == {str(log)}


def test_logs_of_stage_one_when_there_are_none(script, run):
    assert script("logs", "harvest", *PLANTED)[1] == "No jobs of stage 1 were submitted for this store.\n"


def test_cancel_names_a_process_that_still_runs(script, run):
    submission = record_jobs(run, "local", [[key] for key in run.tasks])
    with locked(alive_lock(run.folder, submission)):
        status, out, _ = script("cancel", *PLANTED)
    assert status == 0
    process = f"Process {submission.pid} on host {submission.host}"
    assert out == f"{process} is still running these tasks. Stop it there with Ctrl-C.\n"
    assert read_submissions(run.folder) == [submission]
    assert script("cancel", *PLANTED)[1] == "Nothing of this run is queued or running.\n"


def test_cancel_of_settings_that_were_never_launched_is_an_error(script, run):
    status, out, err = script("cancel", *PLANTED, "--seed", "77")
    assert (status, out) == (1, "")
    assert "There is no run of these settings" in err


def test_names_of_features_and_logs_do_not_control_the_terminal(script, plant):
    run = create_run(plant(**{"red \x1b[31m": np.where(np.arange(80) // 2 % 2, 1.0, -1.0)}))
    key = next(key for key, task in run.tasks.items() if task.features == ("red \x1b[31m",))
    submission = record_jobs(run, "slurm", [[key]], "12")
    write_log(run, submission, "12", "\x1b]0;title\x07 text\twith a tab\n")
    for command in (["status"], ["logs", key]):
        _, out, _ = script(*command, "--run", run.path)
        assert "red \\x1b[31m" in out
        assert "\x1b" not in out
        assert "\x07" not in out
    assert "\\x1b]0;title\\x07 text with a tab\n" in out


def test_status_is_not_blocked_by_one_damaged_attempt(script, run):
    path = begin_attempt(run.path, next(iter(run.tasks)), "none")
    for content in ("null", "{}", "[" * 100_000):
        path.write_text(content)
        status, out, _ = script("status", *PLANTED)
        assert status == 1
        assert ["all", "4"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize("command", ["status", "verify", "logs"])
def test_a_damaged_record_of_the_run_is_one_sentence_until_the_next_launch(script, run, command):
    (run.path / RUN_RECORD).write_text("null")
    words = [command, *(["0"] if command == "logs" else [])]
    status, out, err = script(*words, "--run", run.path)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"error: {run.path / RUN_RECORD} is damaged (not a sealed file). The com")
    create_run(run.config)
    assert f"{RUN_RECORD} is damaged" not in script(*words, "--run", run.path)[2]


@pytest.mark.parametrize("command", RUN_COMMANDS)
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


def test_runs_lists_every_run_with_its_state_and_its_csv(script, run, plant, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert script(*PLANTED)[0] == 0
    unfinished = create_run(plant().with_flags(experiment_name="paper/other", max_k=2))
    damaged = create_run(plant().with_flags(max_k=1))
    truncate(damaged.path / RUN_RECORD)
    empty = create_run(plant().with_flags(max_k=3))
    (empty.path / RUN_RECORD).write_text("null")
    status, out, err = script("runs")
    assert (status, err) == (0, "")
    header, *lines = [line for line in out.splitlines() if not line.startswith("/")]
    assert header.split() == ["study", "model", "data", "set", "state", "CSV,", "or", "folder", "without", "one"]
    by_path = {line.split()[-1]: line.split()[:-1] for line in lines}
    name = ["heuristic_sparsity_sweep", "tiny", "made.tiny.16.-1"]
    assert by_path[str(run.path / "ranked_neurons.csv")] == [*name, "done"]
    assert by_path[str(unfinished.path)] == [*name, "4", "todo"]
    assert by_path[str(damaged.path)] == by_path[str(empty.path)] == [*name, "damaged"]
    assert len(lines) == 4
    assert f"{damaged.path}: DamagedFileError: " in out
    records = json.loads(script("runs", "--json")[1])
    assert {record["path"]: record["state"] for record in records} == {
        path: " ".join(cells[3:]) for path, cells in by_path.items()
    }


def test_runs_of_a_folder_without_runs(script, tmp_path):
    status, out, _ = script("runs", "--results_dir", tmp_path / "none")
    assert status == 0
    assert f"There is no run below {tmp_path / 'none' / 'probing'}." in out


def test_report_prints_what_the_run_printed(script, run):
    status, _, err = script("report", "--run", run.path)
    assert status == 1
    assert "No task of" in err
    printed = script(*PLANTED)[1]
    (run.path / "ranked_neurons.csv").unlink()
    assert script("report", *PLANTED) == (0, printed, "")
    assert (run.path / "ranked_neurons.csv").is_file()


def test_features_that_could_not_be_probed_are_named_by_status_and_report(script, plant):
    flags = [*PLANTED, "--layers", "1", "--feature_subset"]
    plant(one_class=np.full(80, 1.0))
    reason = "feature one_class: There are 0 negative rows"
    for features, printed in ((["one_class"], "No feature was probed"), (["one_class", "strong"], "L1.5")):
        assert script(*flags, *features)[0] == 1
        status, out, err = script("status", *flags, *features)
        assert (status, err) == (0, "")
        assert f"probes are missing in 1 of {len(features)} tasks: {reason}" in out
        status, out, err = script("report", *flags, *features)
        assert status == 1
        assert printed in out
        assert reason in err


@pytest.mark.parametrize("module", [get_activations, probing_experiment])
def test_every_sub_command_is_in_the_help_and_flags_are_written_as_in_the_documents(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module.__name__, "--help"])
    with pytest.raises(SystemExit):
        module.main()
    text = capsys.readouterr().out
    names = COMMANDS if module is get_activations else RUN_COMMANDS
    listed = [
        line.split()[0] for line in text.partition("COMMAND --help shows more:\n")[2].partition("\n\n")[0].splitlines()
    ]
    assert listed == list(names)
    flags = re.findall(r"(?<!\S)--[a-z][\w-]+", text)
    assert "--feature_dataset" in flags
    assert [flag for flag in flags if "-" in flag[2:]] == []
