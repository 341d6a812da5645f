"""What Slurm knows of our jobs, from one ``squeue`` and without accounting; and how they are cancelled."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from probing_datasets.foundation.errors import TaskError

logger = logging.getLogger(__name__)

FIELDS = "%j|%K|%i|%T|%r"
"""Name, index in the array, id, state and reason."""
PATIENCE_SECONDS = 60

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
"""States of a job that will not run again."""
WAITING = ("CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")


@dataclass(frozen=True)
class Job:
    """A job, or an entry of an array."""

    id: str
    state: str
    reason: str

    @property
    def is_live(self) -> bool:
        """Whether it runs or will run."""
        return self.state not in ENDED

    @property
    def is_running(self) -> bool:
        """Whether it has a node."""
        return self.is_live and self.state not in WAITING


Queue = dict[str, dict[int, Job]]
"""Jobs by name and by index in the array, 0 where there is no array."""


def ask_queue(names: Iterable[str]) -> Queue | None:
    """Return the jobs of these names, as far as Slurm remembers them; None while it does not answer."""
    wanted = sorted(names)
    if not wanted:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", f"--format={FIELDS}", f"--name={','.join(wanted)}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("squeue does not answer: %s", _reason(error))
        return None
    return _parse(asked.stdout)


def cancel_jobs(name: str) -> None:
    """Cancel the jobs of a name.

    Raises
    ------
    TaskError
        When Slurm does not answer.
    """
    try:
        subprocess.run(["scancel", f"--name={name}"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise TaskError(f"The jobs {name} could not be cancelled: {_reason(error)}") from error


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    return (getattr(error, "stderr", None) or str(error)).strip()


def _parse(lines: str) -> Queue:
    queue: Queue = {}
    for name, index, *job in (line.split("|") for line in lines.splitlines()):
        queue.setdefault(name, {})[int(index) if index.isdecimal() else 0] = Job(*job)
    return queue
