"""What a job does before its time limit: it is requeued, unless it would not get further."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from submitit.core.utils import DelayedSubmission

from sparse_probing.runs.tasks.entry_points import harvest_share
from sparse_probing.runs.tasks.run_task import SAVED

START = time.monotonic()
"""When this job started, or was started again."""


@dataclass(frozen=True)
class Resumable:
    """A function that resumes its work when it is called again.

    It has its own module because a pickle holds a class of the program itself by value, and with it the values
    that START and SAVED had then.
    """

    function: Callable[..., None]
    minutes: int
    """Time limit of the job."""

    is_last_try: bool = False
    """Whether the job was requeued after it had all its time and saved nothing."""

    def __call__(self, *arguments: Any) -> None:
        """Call the function."""
        self.function(*arguments)

    def checkpoint(self, *arguments: Any) -> DelayedSubmission | None:
        """Return the call to be made after a time-out: the same; None, which ends the job, when it leads to nothing.

        That is when the job had all its time twice in a row and saved nothing. One that was preempted early could not
        have saved anything.
        """
        if self.function is harvest_share or SAVED:
            return DelayedSubmission(replace(self, is_last_try=False), *arguments)
        if time.monotonic() - START < self.minutes * 30:
            return DelayedSubmission(self, *arguments)
        return None if self.is_last_try else DelayedSubmission(replace(self, is_last_try=True), *arguments)
