"""What probing_experiment.py does with runs that were launched: status, logs, cancel, verify, report, save, runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

from rich.cells import cell_len
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional

from probing_datasets.foundation.console import open_console, show
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.printable import printable
from sparse_probing.commands.save_probe import save_command
from sparse_probing.config import ProbingConfig
from sparse_probing.config.result_folders import harvest_submissions_folder
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, find_run, one_key, settings_folder
from sparse_probing.runs.slurm.squeue import ask_about, live_submissions
from sparse_probing.runs.status.all_runs import PROBING, IndexedRun, index_runs
from sparse_probing.runs.status.logs import log_of_submission, log_of_task
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.status.table import describe_submissions, show_status
from sparse_probing.runs.submissions import SUBMISSIONS, read_submissions
from sparse_probing.runs.tasks.published_results import finished_tasks

Flags = Annotated[ProbingConfig, OmitArgPrefixes]
HARVEST = "harvest"


def status_command(config: Flags, run: Path | None = None, json: bool = False) -> None:
    """Print the state of every task of a run; the exit status is 0 when all tasks are done.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    json : bool
        Print JSON, with every task.
    """
    status = run_status(_launched_run(config, run))
    if json:
        show(dumps(status.to_json(), indent=1))
    else:
        show_status(status, open_console())
    if not status.all_done:
        raise TaskError(f"{len(status.tasks) - status.counts['done']:,} of {len(status.tasks):,} tasks are not done.")


def logs_command(key: Positional[str], config: Flags, run: Path | None = None) -> None:
    """Print what happened to a task: its errors, and the ends of the logs of its jobs.

    Parameters
    ----------
    key : str
        Key of the task, or its beginning, as `status` prints it; `harvest` for the jobs of stage 1.
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    lines: list[str] = []
    if key == HARVEST:
        for folder in _harvest_folders(config):
            for submission in read_submissions(folder)[-1:]:
                lines += log_of_submission(folder, submission)
        lines = lines or ["No jobs of stage 1 were submitted for this store."]
    else:
        launched = _launched_run(config, run)
        lines += log_of_task(launched, one_key(launched, key))
    for line in lines:
        show(line)


def cancel_command(config: Flags, run: Path | None = None) -> None:
    """Cancel the jobs of a run; with --harvest also those of stage 1. Finished tasks are kept.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    from sparse_probing.runs.executors import executor_of  # here: it imports all studies

    folder = settings_folder(config) if run is None else run
    folders = [folder.absolute().parent if (folder / RUN_RECORD).exists() else folder]
    folders += _harvest_folders(config) if config.harvest_first.harvest else []
    live = [(folder, submission) for folder in folders for submission in live_submissions(folder)]
    for folder, submission in live:
        show(executor_of(submission.cluster, config.execution, config.slurm).cancel(folder, submission))
    if not live:
        if not any(read_submissions(folder) for folder in folders):
            _launched_run(config, run)  # says where there is no run
        show("Nothing of this run is queued or running.")


def verify_command(config: Flags, run: Path | None = None) -> None:
    """Prove the lower bounds of optimal probes again, from the logs that --proof kept.

    The exit status is 0 when all tasks are done and all bounds are proved.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    from sparse_probing.runs.tasks.check_proofs import check_proofs  # here: it imports all studies

    launched, n_proved, refuted = _launched_run(config, run), 0, []
    for checked in tqdm(check_proofs(launched), unit=" proofs", disable=None):
        if checked.verdict.proved:
            n_proved += 1
        else:
            refuted.append(f"task {checked.key}, {checked.name}: {checked.verdict.reason}")
    for line in refuted:
        show(line)
    n_proofs = n_proved + len(refuted)
    show(f"{n_proved:,} of {n_proofs:,} lower bounds are proved." if n_proofs else "The finished rows have no proofs.")
    if refuted:
        raise TaskError("Not every bound is proved.")
    if n_missing := len(launched.tasks) - len(finished_tasks(launched.path, launched.tasks)):
        raise TaskError(
            f"{n_missing} of {len(launched.tasks)} tasks of {launched.path} are not finished, or their rows are "
            "damaged, so their proofs were not checked. Run probing_experiment.py with the same settings."
        )
    if not n_proved:
        raise TaskError("No task kept proofs. Run the study with --proof.")


def report_command(config: Flags, run: Path | None = None) -> None:
    """Print the tables of a run again, and write its CSV and figure again.

    The exit status is 0 when every feature was probed.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    from sparse_probing.reporting.report import report  # here: it imports matplotlib
    from sparse_probing.runs.launch import raise_failures  # here: it imports all studies

    launched = _launched_run(config, run)
    report(launched, open_console())
    raise_failures(run_status(launched), list(launched.tasks))


def runs_command(results_dir: Path | None = None, json: bool = False) -> None:
    """List every run: study, model, data set, state, and where its CSV is.

    Parameters
    ----------
    results_dir : Path, optional
        Folder of results. Default: RESULTS_DIR.
    json : bool
        Print JSON.
    """
    root = read_settings().results_dir if results_dir is None else results_dir
    runs = list(index_runs(root))
    if json:
        show(dumps([asdict(run) for run in runs], indent=1))
        return
    # Not a table: paths are not folded, so that they can be copied from a narrow terminal.
    header = IndexedRun("study", "model", "data set", "state", "CSV, or folder without one")
    lines = [(each.study, each.model, each.dataset, each.state, each.path) for each in (header, *runs)]
    cells = [[printable(cell) for cell in line] for line in lines]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)][:-1]
    for line in cells:
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=False)]
        show("  ".join([*padded, line[-1]]))
    for each in runs:
        if each.problem:
            show(f"{each.path}: {each.problem}")
    if not runs:
        show(f"There is no run below {root / PROBING}.")


RUN_COMMANDS: dict[str, Callable[..., None]] = {
    "status": status_command,
    "logs": logs_command,
    "cancel": cancel_command,
    "verify": verify_command,
    "report": report_command,
    "save": save_command,
    "runs": runs_command,
}


def _launched_run(config: ProbingConfig, path: Path | None) -> Run:
    """Return the run in a folder, or that of a configuration; TaskError, which says what is queued, without one."""
    folder = settings_folder(config) if path is None else path
    run = find_run(folder)
    if run is not None:
        return run
    folders = [*_harvest_folders(config), folder]
    submissions = [submission for each in folders for submission in read_submissions(each)]
    queued = describe_submissions(submissions, ask_about(submissions))
    if queued:
        raise TaskError("\n".join(["The jobs create the run when its store is complete:", *queued]))
    nothing = f"There is no run of these settings in {folder}."
    if read_submissions(folder):
        logs = f"`logs harvest` prints those of stage 1, and {folder / SUBMISSIONS} holds those of stage 2"
        raise TaskError(f"{nothing} Its jobs ended before they created it. Their logs: {logs}. Then launch it again.")
    raise TaskError(f"{nothing} Launch it, or name another folder with --run.")


def _harvest_folders(config: ProbingConfig) -> list[Path]:
    """Return where the harvests of the store, and of the same store with random weights, record their submissions."""
    random_init = config.with_flags(random_init=True)
    return [harvest_submissions_folder(each.activations) for each in (config, random_init)]
