"""What a job does before its time limit: it is requeued, unless it would not get further."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from submitit.core.utils import DelayedSubmission

from sparse_probing.runs.tasks.entry_points import harvest_share
from sparse_probing.runs.tasks.run_task import SAVED

START = time.monotonic()
"""When this job started, or was started again."""


@dataclass(frozen=True)
class Resumable:
    """A function that resumes its work when it is called again.

    It has a module of its own because a pickle holds a class of the program itself by value, and with it the values
    that START and SAVED had then.
    """

    function: Callable[..., None]
    minutes: int
    """Time limit of the job."""

    def __call__(self, *arguments: Any) -> None:
        """Call the function."""
        self.function(*arguments)

    def checkpoint(self, *arguments: Any) -> DelayedSubmission | None:
        """Return the call to be made after a time-out: the same; None, which ends the job, when it led to nothing.

        A job that was preempted early could not have saved anything, and is always requeued.
        """
        had_its_time = time.monotonic() - START > self.minutes * 30
        if had_its_time and not SAVED and self.function is not harvest_share:
            return None
        return DelayedSubmission(self, *arguments)
