"""Which tasks a launch runs: those that are neither finished nor running, and failed ones with ``--retry_failed``."""

from __future__ import annotations

import logging

from probing_datasets.foundation.errors import TaskError
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.slurm.squeue import no_answer
from sparse_probing.runs.status.deaths import last_line
from sparse_probing.runs.status.run_status import OPEN, State, run_status

logger = logging.getLogger(__name__)


def open_tasks(run: Run, keys: list[str], retry_failed: bool) -> list[str]:
    """Return the given tasks that are neither finished nor running; warn of those that died twice in a row."""
    status = run_status(run, read_all=True)  # a report of results that are not intact would fail
    if unknown := status.keys("unknown"):
        raise TaskError(status.tasks[unknown[0]].message or no_answer(run.folder))
    states: tuple[State, ...] = (*OPEN, "failed") if retry_failed else OPEN
    open_keys = [key for key in keys if status.tasks[key].state in states]
    logger.info("%d tasks, %d to run, in %s", len(run.tasks), len(open_keys), run.path)

    dying = [status.tasks[key] for key in open_keys if status.tasks[key].n_deaths > 1]
    if dying:
        first = dying[0]
        log = f"The log {first.log} ends with: {last_line(first.log)}" if first.log else first.message
        logger.warning(
            "The jobs of %d tasks died %d times in a row before the tasks began, and will probably die again. "
            "Fix the cause. %s",
            len(dying),
            first.n_deaths,
            log,
        )
    return open_keys
