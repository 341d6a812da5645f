"""The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import load_dotenv

from probing_datasets.foundation.errors import SettingsError

OF_AN_ENCLOSING_JOB = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_")
"""How variables begin that would make a job a part of the job it is submitted from."""


@dataclass(frozen=True)
class Settings:
    """Places and limits that come from the environment.

    A ``.env`` file in the working directory is read first; a variable that is already
    set wins over it, and a command-line flag wins over both.
    """

    results_dir: Path
    """``RESULTS_DIR``: activation stores and probe results. Default ``results``."""
    feature_dataset_dir: Path
    """``FEATURE_DATASET_DIR``: feature data sets. Default ``feature_datasets``."""
    interpretable_neurons_dir: Path
    """``INTERPRETABLE_NEURONS_DIR``: ranked-neuron CSVs. Default ``interpretable_neurons``."""
    n_cpus: int
    """``SLURM_CPUS_PER_TASK``, otherwise the CPUs this process may use."""
    array_rank: int
    """Which task of an array this is, from 0: ``SLURM_ARRAY_TASK_ID`` less ``SLURM_ARRAY_TASK_MIN``, in steps of
    ``SLURM_ARRAY_TASK_STEP``. Otherwise 0; also in the arrays of ``--cluster slurm``, whose entries know their tasks.
    """
    array_size: int
    """``SLURM_ARRAY_TASK_COUNT``, otherwise 1, as for ``array_rank``."""
    job_id: str | None
    """``SLURM_JOB_ID``, or in an array ``SLURM_ARRAY_JOB_ID`` and ``SLURM_ARRAY_TASK_ID`` with an underscore."""


def read_settings() -> Settings:
    """Read the environment now (tests and notebooks may change it between calls)."""
    load_dotenv(Path.cwd() / ".env")
    return Settings(
        results_dir=_path("RESULTS_DIR", "results"),
        feature_dataset_dir=_path("FEATURE_DATASET_DIR", "feature_datasets"),
        interpretable_neurons_dir=_path("INTERPRETABLE_NEURONS_DIR", "interpretable_neurons"),
        n_cpus=_n_cpus(),
        array_rank=0 if "SUBMITIT_EXECUTOR" in os.environ else _array_rank(),
        array_size=1 if "SUBMITIT_EXECUTOR" in os.environ else _array_number("SLURM_ARRAY_TASK_COUNT", 1),
        job_id=_job_id(),
    )


@contextmanager
def outside_any_job() -> Iterator[None]:
    """Leave out what an enclosing Slurm job set, so that a job submitted meanwhile does not inherit it.

    Outside a job nothing is left out: a user may have an account in ``SBATCH_ACCOUNT``.
    """
    inside = "SLURM_JOB_ID" in os.environ
    removed = {
        name: value
        for name, value in os.environ.items()
        if inside and name.startswith(OF_AN_ENCLOSING_JOB) and name != "SLURM_CONF"
    }
    for name in removed:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(removed)


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Let Python processes that are started meanwhile import nothing from the working directory."""
    given = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if given is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = given


def let_waiting_threads_sleep() -> None:
    """Keep OpenMP threads from spinning while they wait for one another, unless the user decided that.

    On a machine that does other work too, spinning made a forward pass six times slower. It has
    to be said before the first import of torch.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _path(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def _n_cpus() -> int:
    given = os.environ.get("SLURM_CPUS_PER_TASK")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdecimal() or int(given) < 1:
        raise SettingsError(
            f"SLURM_CPUS_PER_TASK is {given!r}, not a positive whole number. Unset it or set it to the number of CPUs."
        )
    return int(given)


def _job_id() -> str | None:
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is None:
        return os.environ.get("SLURM_JOB_ID")
    return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"


def _array_rank() -> int:
    behind_first = _array_number("SLURM_ARRAY_TASK_ID", 0) - _array_number("SLURM_ARRAY_TASK_MIN", 0)
    return behind_first // max(_array_number("SLURM_ARRAY_TASK_STEP", 1), 1)


def _array_number(variable: str, default: int) -> int:
    given = os.environ.get(variable, str(default))
    if not given.isdecimal():
        raise SettingsError(f"{variable} is {given!r}, not a whole number. Slurm sets it; unset it elsewhere.")
    return int(given)
