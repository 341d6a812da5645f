"""What probing_experiment.py does with a run that was launched: status, logs, cancel, verify."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional

from probing_datasets.foundation.errors import TaskError
from sparse_probing.config import ProbingConfig
from sparse_probing.config.locations import harvest_submissions_folder
from sparse_probing.runs.planning.run import RUN_RECORD, Run, find_run, one_key, settings_folder
from sparse_probing.runs.slurm.squeue import cancel_jobs
from sparse_probing.runs.slurm.submissions import SUBMISSIONS, ask_about, live_submissions, read_submissions
from sparse_probing.runs.status.logs import log_of_submission, log_of_task
from sparse_probing.runs.status.status import run_status
from sparse_probing.runs.status.table import describe_submissions, show_status
from sparse_probing.runs.tasks.results import finished_tasks

Flags = Annotated[ProbingConfig, OmitArgPrefixes]
HARVEST = "harvest"

console = Console()


def status_command(config: Flags, run: Path | None = None, json: bool = False) -> None:
    """Say where every task of a run stands; the exit status is 0 when all are done.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    json : bool
        Print JSON, with every task.
    """
    status = run_status(_existing(config, run))
    if json:
        console.out(dumps(status.to_json(), indent=1), highlight=False)
    else:
        show_status(status, console)
    if not status.all_done:
        raise TaskError(f"{len(status.tasks) - status.counts['done']:,} of {len(status.tasks):,} tasks are not done.")


def logs_command(key: Positional[str], config: Flags, run: Path | None = None) -> None:
    """Print how a task went: errors, and the ends of the logs of its jobs.

    Parameters
    ----------
    key : str
        Key of the task, or its beginning, as `status` prints it; `harvest` for the jobs of stage 1.
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    if key == HARVEST:
        lines = _logs_of_harvest(config)
    else:
        found = _existing(config, run)
        lines = list(log_of_task(found, one_key(found, key)))
    for line in lines:
        console.out(line, highlight=False)


def cancel_command(config: Flags, run: Path | None = None) -> None:
    """Cancel the jobs of a run; with --harvest also those of stage 1. Finished tasks are kept.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    folders = [
        _settings_folder(_folder(config, run)),
        *(_harvest_folders(config) if config.harvest_first.harvest else ()),
    ]
    for submission in (submission for folder in folders for submission in live_submissions(folder)):
        if submission.cluster == "slurm":
            cancel_jobs(submission.job_name)
            console.print(f"cancelled {submission.job_name}, job {submission.job_id}")
        else:
            console.print(f"process {submission.pid} on {submission.host} is at it: end it there with Ctrl-C")


def verify_command(config: Flags, run: Path | None = None) -> None:
    """Prove the lower bounds of optimal probes again, from the logs of --proof.

    The exit status is 0 when all tasks are done and all bounds hold.

    Parameters
    ----------
    config : ProbingConfig
        The flags the run was launched with.
    run : Path, optional
        Folder of the run, instead of its flags.
    """
    from sparse_probing.runs.tasks.check_proofs import check_proofs  # here: it imports all studies

    found, n_proved, refuted = _existing(config, run), 0, []
    for checked in tqdm(check_proofs(found), unit=" proofs", disable=None):
        n_proved += checked.verdict.proved
        if not checked.verdict.proved:
            refuted.append(f"task {checked.key}, {checked.name}: {checked.verdict.reason}")
    for line in refuted:
        console.out(line, highlight=False)
    console.print(f"{n_proved:,} of {n_proved + len(refuted):,} lower bounds are proved.")
    if refuted:
        raise TaskError("Not every bound is proved.")
    if n_missing := len(found.tasks) - len(finished_tasks(found.path, found.tasks)):
        raise TaskError(
            f"{n_missing} of {len(found.tasks)} tasks of {found.path} are not finished, or their rows are damaged: "
            "there was nothing of them to check. Run probing_experiment.py with the same settings."
        )
    if not n_proved:
        raise TaskError("No task kept proofs: run with --proof.")


RUN_COMMANDS: dict[str, Callable[..., None]] = {
    "status": status_command,
    "logs": logs_command,
    "cancel": cancel_command,
    "verify": verify_command,
}


def _folder(config: ProbingConfig, run: Path | None) -> Path:
    return settings_folder(config) if run is None else run


def _settings_folder(folder: Path) -> Path:
    return folder.absolute().parent if (folder / RUN_RECORD).exists() else folder


def _existing(config: ProbingConfig, path: Path | None) -> Run:
    run = find_run(_folder(config, path))
    if run is None:
        raise TaskError(_unplanned(config, _folder(config, path)))
    return run


def _unplanned(config: ProbingConfig, folder: Path) -> str:
    """Say that no run was planned, and what is queued that will plan it."""
    folders = [*_harvest_folders(config), folder]
    submissions = [submission for each in folders for submission in read_submissions(each)]
    queued = describe_submissions(submissions, ask_about(submissions))
    if queued:
        return "\n".join(["The run is planned by its jobs when its store is complete:", *queued])
    nothing = f"No run of these settings is planned in {folder}."
    if read_submissions(folder):
        logs = f"`logs harvest` shows those of stage 1, and {folder / SUBMISSIONS} holds those of stage 2"
        return f"{nothing} Its jobs have ended before they could do it: {logs}. Mend the cause, and launch it again."
    return f"{nothing} Launch it, or name another with --run."


def _harvest_folders(config: ProbingConfig) -> list[Path]:
    return [harvest_submissions_folder(each.activations) for each in (config, config.with_flags(random_init=True))]


def _logs_of_harvest(config: ProbingConfig) -> list[str]:
    found = [(folder, read_submissions(folder)) for folder in _harvest_folders(config)]
    lines = [line for folder, some in found if some for line in log_of_submission(folder, some[-1])]
    return lines or ["No jobs of stage 1 were submitted for this store."]
