"""Arrays of jobs on Slurm: the batch script is submitit's."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit.slurm.slurm import _make_sbatch_string

from probing_datasets.foundation.atomic_files import write_bytes
from probing_datasets.foundation.errors import SettingsError, TaskError
from probing_datasets.foundation.settings import outside_any_job
from sparse_probing.config import Resources, SlurmConfig
from sparse_probing.runs.slurm.job import Calls
from sparse_probing.runs.slurm.submissions import LOGS

logger = logging.getLogger(__name__)

SCRIPT = "batch.sh"
ROOT = Path(__file__).parents[3]
THREAD_VARIABLES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
USUAL_MAX_ARRAY_SIZE = 1001
UNLIMITED = 1_000_000
SIGNAL_SECONDS = 90
"""How long before a time-out a job is told to stop; a quarter of the time where that is less."""
SPARE_TIMEOUTS = 3
"""Time-outs of a job beside one for each of its tasks: one that ends no task in all its time is not begun for ever."""


@dataclass(frozen=True)
class Array:
    """An array of jobs to submit: one entry for each list of arguments."""

    function: str
    """One of `sparse_probing.runs.slurm.job.FUNCTIONS`."""
    arguments: list[list[Any]]
    name: str
    resources: Resources
    after: tuple[str, ...] = ()
    """Ids of jobs that have to end well first; when one fails, the array is cancelled."""
    tasks_per_entry: int = 1


def submit(array: Array, config: SlurmConfig, folder: Path) -> str:
    """Submit an array; return its job id.

    From the moment that Slurm has the array, its jobs need nothing more of this process.

    Parameters
    ----------
    array : Array
    config : SlurmConfig
    folder : Path
        Of this submission alone, on a file system that all nodes see.

    Raises
    ------
    SettingsError
        When sbatch refuses the array; it also says so of one that Slurm has taken and was slow to answer for.
    """
    max_timeouts = array.tasks_per_entry + SPARE_TIMEOUTS
    Calls(array.function, array.arguments, array.resources.time, max_timeouts).write(folder)
    write_bytes(folder / SCRIPT, batch_script(array, config, folder).encode())
    with outside_any_job():
        asked = subprocess.run(["sbatch", "--parsable", str(folder / SCRIPT)], capture_output=True, text=True)
    if asked.returncode:
        raise SettingsError(f"sbatch refused {array.name}: {_last_line(asked.stderr)}")
    return asked.stdout.strip().split(";")[0]


def require_sbatch() -> None:
    """Raise SettingsError when there is no Slurm here."""
    if shutil.which("sbatch") is None:
        raise SettingsError("There is no sbatch here. Run this where Slurm is, or use --cluster local.")


def batch_script(array: Array, config: SlurmConfig, folder: Path) -> str:
    """Return the script that `submit` hands to sbatch."""
    place, n_entries = folder.absolute(), len(array.arguments)
    return _make_sbatch_string(
        command=shlex.join([sys.executable, "-u", "-m", "sparse_probing.runs.slurm.job", str(place)]),
        folder=place / LOGS,
        map_count=n_entries if n_entries > 1 else None,
        **_parameters(array, config),
    )


def ask_about_script(script: str) -> str | None:
    """Return what ``sbatch --test-only`` says of a script; None where there is no sbatch."""
    if shutil.which("sbatch") is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file, outside_any_job():
        file.write(script)
        file.flush()
        asked = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True)
    return (asked.stdout + asked.stderr).strip()


def max_array_size() -> int:
    """Return how many entries an array may have; where there is no Slurm, its default.

    Raises
    ------
    TaskError
        When Slurm does not answer.
    """
    if shutil.which("scontrol") is None:
        return USUAL_MAX_ARRAY_SIZE
    asked = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", asked.stdout, re.MULTILINE)
    if found is None:
        raise TaskError(f"Slurm does not answer ({_last_line(asked.stderr)}); nothing was submitted. Try again later.")
    return int(found[1])


def _parameters(array: Array, config: SlurmConfig) -> dict[str, Any]:
    """Return the parameters of submitit's Slurm executor."""
    resources, n_threads = array.resources, array.resources.cpus_per_task
    extra = dict(_name_and_value(text) for text in config.sbatch_parameters)
    dependency = {"dependency": f"afterok:{':'.join(array.after)}"} if array.after else {}
    # A dependency that can no longer be met would wait for ever.
    extra |= {"requeue": True} | ({"kill-on-invalid-dep": "yes"} if array.after else {})
    given = {
        "partition": resources.partition,
        "account": config.account,
        "qos": config.qos,
        "mem": resources.mem,
        "gpus_per_node": resources.gpus or None,
        "constraint": resources.constraint,
    }
    return (
        {name: value for name, value in given.items() if value is not None}
        | dependency
        | {
            "job_name": array.name,
            "time": resources.time,
            "cpus_per_task": n_threads,
            "array_parallelism": config.throttle or UNLIMITED,
            "setup": [*_environment(n_threads), *config.setup],
            # srun does not take over --cpus-per-task, and would bind threads to the CPUs of one.
            "srun_args": [f"--cpus-per-task={n_threads}", "--cpu-bind=none"],
            "signal_delay_s": min(SIGNAL_SECONDS, resources.time * 15),
            "stderr_to_stdout": True,
            "wckey": None,
            "additional_parameters": extra,
        }
    )


def _environment(n_threads: int) -> list[str]:
    threads = " ".join(f"{name}_NUM_THREADS={n_threads}" for name in THREAD_VARIABLES)
    return [
        f"export {threads}",
        "export HF_HUB_OFFLINE=1",
        f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]


def _name_and_value(text: str) -> tuple[str, str | bool]:
    name, is_given, value = text.removeprefix("--").partition("=")
    return name, value if is_given else True


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
