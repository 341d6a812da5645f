"""Waiting for the tasks or submissions of a run, with a progress bar; the jobs continue when this process ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

from tqdm import tqdm

from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.slurm.squeue import ask_about, is_live
from sparse_probing.runs.status.run_status import LIVE, RunStatus, run_status
from sparse_probing.runs.submissions import read_submissions

PAUSES = (1, 2, 4, 8, 15)
"""Seconds between questions to Slurm, then the last one for ever: frequent questions of many users slow Slurm down."""


def wait_for_tasks(run: Run, keys: list[str]) -> RunStatus:
    """Wait until none of the tasks is running or will run; return the states of all tasks of the run."""
    with tqdm(total=len(keys), desc="waiting", unit=" tasks", disable=None, leave=False) as bar:
        for pause in _pauses():
            status = run_status(run)
            states = [status.tasks[key].state for key in keys]
            bar.update(states.count("done") - bar.n)
            if not set(states) & {*LIVE, "unknown"}:
                return status
            time.sleep(pause)
    raise AssertionError("The pauses never end.")


def wait_for_submissions(folder: Path) -> None:
    """Wait until no submission of a folder runs or will run."""
    for pause in _pauses():
        submissions = read_submissions(folder)
        queue = ask_about(submissions)
        if queue is not None and not any(is_live(folder, submission, queue) for submission in submissions):
            return
        time.sleep(pause)


def _pauses() -> Iterator[int]:
    return chain(PAUSES, repeat(PAUSES[-1]))
