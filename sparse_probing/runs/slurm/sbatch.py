"""Arrays of jobs: their batch script, which submitit writes, and its submission with sbatch."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from submitit.slurm.slurm import _make_sbatch_string

from probing_datasets.foundation.environment import outside_any_job
from probing_datasets.foundation.errors import SettingsError, SparseProbingError, TaskError
from probing_datasets.foundation.files.atomic_files import write_bytes
from sparse_probing.config import Resources, SlurmConfig
from sparse_probing.runs.slurm.job import Calls
from sparse_probing.runs.slurm.squeue import ask_about
from sparse_probing.runs.submissions import LOGS, Submission, record_submission, submission_folder

SCRIPT = "batch.sh"
PACKAGE_ROOT = Path(__file__).parents[3]
"""The folder that holds the package: that of a clone, or site-packages."""
THREAD_VARIABLES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
DEFAULT_MAX_ARRAY_SIZE = 1001
UNLIMITED = 1_000_000
SIGNAL_SECONDS = 90
"""How long before a time-out Slurm signals a job; a quarter of the job's time where that is less."""
SPARE_TIMEOUTS = 3
"""Time-outs of a job beside one for each of its tasks: a job that never finishes a task is not requeued for ever."""


@dataclass(frozen=True)
class Array:
    """An array of Slurm jobs, submitted or to be submitted: one entry for each list of arguments."""

    submission: Submission
    folder: Path
    """Folder of the settings, or of the harvest; it holds the folder of the submission."""
    function: str
    """One of `sparse_probing.runs.slurm.job.FUNCTIONS`."""
    arguments: list[list[Any]]
    slurm: SlurmConfig
    resources: Resources
    """Of each job; those of stage 1 are not those of ``slurm``."""
    after: tuple[str, ...] = ()
    """Ids of jobs that have to end well first; when one fails, Slurm cancels the array."""
    tasks_per_entry: int = 1

    @property
    def place(self) -> Path:
        """Folder of the submission; all nodes have to see it."""
        return submission_folder(self.folder, self.submission).absolute()


def submit_array(array: Array) -> Submission:
    """Record a submission and submit its array.

    As soon as Slurm has the array, its jobs do not need this process any more.

    Raises
    ------
    SettingsError
        When there is no Slurm here, or when sbatch reports an error. The record stays only where Slurm has the
        array in spite of the error (sbatch gave up waiting for the answer), or where Slurm does not answer.
    """
    if shutil.which("sbatch") is None:
        raise SettingsError("There is no sbatch here. Run this on a machine with Slurm, or use --cluster local.")
    record_submission(array.folder, array.submission)
    try:
        max_timeouts = array.tasks_per_entry + SPARE_TIMEOUTS
        Calls(array.function, array.arguments, array.resources.time, max_timeouts).write(array.place)
        write_bytes(array.place / SCRIPT, batch_script(array).encode())
        with outside_any_job():
            answer = subprocess.run(["sbatch", "--parsable", str(array.place / SCRIPT)], capture_output=True, text=True)
        if answer.returncode:
            raise SettingsError(f"sbatch refused {array.submission.id}: {_last_line(answer.stderr)}")
    except SparseProbingError:
        if ask_about([array.submission]) == {}:
            shutil.rmtree(array.place)
        raise
    submitted = replace(array.submission, phase="submitted", job_id=answer.stdout.strip().split(";")[0])
    record_submission(array.folder, submitted)
    return submitted


def batch_script(array: Array) -> str:
    """Return the script that `submit_array` gives to sbatch."""
    slurm, n_threads, n_entries = array.slurm, array.resources.cpus_per_task, len(array.arguments)
    optional = {
        "partition": array.resources.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "mem": array.resources.mem,
        "gpus_per_node": array.resources.gpus or None,
        "constraint": array.resources.constraint,
        "dependency": f"afterok:{':'.join(array.after)}" if array.after else None,
    }
    parameters: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
    parameters["wckey"] = None  # by default, submitit sets one
    further: dict[str, str | bool] = {}
    for text in slurm.sbatch_parameters:
        name, has_value, value = text.removeprefix("--").partition("=")
        further[name] = value if has_value else True
    further["requeue"] = True
    if array.after:  # otherwise the array waits for ever when one of these jobs fails
        further["kill-on-invalid-dep"] = "yes"
    environment = [
        "export " + " ".join(f"{name}_NUM_THREADS={n_threads}" for name in THREAD_VARIABLES),
        "export HF_HUB_OFFLINE=1",
    ]
    if not is_importable(sys.executable, PACKAGE_ROOT):
        environment.append(f"export PYTHONPATH={shlex.quote(str(PACKAGE_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}")
    # -P: a job imports nothing from the folder that it was submitted in, whatever the files there are called.
    program = [sys.executable, "-P", "-u", "-m", "sparse_probing.runs.slurm.job", str(array.place)]
    return _make_sbatch_string(
        command=shlex.join(program),
        folder=array.place / LOGS,
        map_count=n_entries if n_entries > 1 else None,
        job_name=array.submission.id,
        time=array.resources.time,
        cpus_per_task=n_threads,
        array_parallelism=slurm.throttle or UNLIMITED,
        setup=[*environment, *slurm.setup],
        # srun does not inherit --cpus-per-task, and would bind all threads to one CPU.
        srun_args=[f"--cpus-per-task={n_threads}", "--cpu-bind=none"],
        signal_delay_s=min(SIGNAL_SECONDS, array.resources.time * 15),
        stderr_to_stdout=True,
        additional_parameters=further,
        **parameters,
    )


@cache
def is_importable(python: str, root: Path) -> bool:
    """Whether a Python imports the package from a folder without PYTHONPATH, because it is installed there.

    Examples
    --------
    >>> is_importable(sys.executable, Path("/none/such"))
    False
    """
    program = "from importlib.util import find_spec; print(getattr(find_spec('sparse_probing'), 'origin', None))"
    answer = subprocess.run([python, "-P", "-E", "-c", program], capture_output=True, text=True)
    return Path(answer.stdout.strip()).resolve() == (root / "sparse_probing" / "__init__.py").resolve()


def check_script(script: str) -> str | None:
    """Return what ``sbatch --test-only`` answers about a script; None where there is no sbatch."""
    if shutil.which("sbatch") is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file, outside_any_job():
        file.write(script)
        file.flush()
        answer = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True)
    return (answer.stdout + answer.stderr).strip()


def max_array_size() -> int:
    """Return how many entries an array may have; where there is no Slurm, its default.

    Raises
    ------
    TaskError
        When Slurm does not answer.
    """
    if shutil.which("scontrol") is None:
        return DEFAULT_MAX_ARRAY_SIZE
    answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    size = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.stdout, re.MULTILINE)
    if size is None:
        raise TaskError(f"Slurm does not answer ({_last_line(answer.stderr)}); nothing was submitted. Try again later.")
    return int(size[1])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
