"""The only reader of the environment.

Reading settings changes nothing in the process. The two functions that change the environment,
`fill_environment` and `outside_any_job`, are called by commands only.
"""

from __future__ import annotations

import io
import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from probing_datasets.foundation.errors import SettingsError, first_line
from probing_datasets.foundation.files.regular_files import read_regular_file

FOLDER_VARIABLES = ("RESULTS_DIR", "FEATURE_DATASET_DIR", "INTERPRETABLE_NEURONS_DIR")
DOTENV_VARIABLES = (*FOLDER_VARIABLES, "HF_HOME", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE")
"""What a ``.env`` file may set; everything else in it is ignored (``LD_PRELOAD``, ``PATH``, ``SLURM_JOB_ID``)."""

MAX_DOTENV_BYTES = 2**20

COMMAND_DEFAULTS = {
    # A waiting OpenMP thread that spins takes the CPU from other work on the machine: spinning made a
    # forward pass six times slower. OpenMP reads the variable when torch is imported.
    "OMP_WAIT_POLICY": "PASSIVE",
    # The progress bars of libraries would hide our own.
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # `transformers` follows this variable too
}
"""What a command sets unless the user did; the processes that it starts inherit it."""

OF_AN_ENCLOSING_JOB = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_")
"""Prefixes of the variables that would make a submitted job a part of the job that submits it."""


@dataclass(frozen=True)
class Settings:
    """Folders and limits that come from the environment.

    The three folders may also come from a ``.env`` file in the working directory. A variable of the
    environment takes precedence over the file, and a command-line flag over both.
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
    """Index of this task in a job array, from 0: ``SLURM_ARRAY_TASK_ID`` less ``SLURM_ARRAY_TASK_MIN``, in steps of
    ``SLURM_ARRAY_TASK_STEP``. Otherwise 0; also in the arrays of ``--cluster slurm``, whose entries know their tasks.
    """
    array_size: int
    """``SLURM_ARRAY_TASK_COUNT``, otherwise 1, as for ``array_rank``."""
    job_id: str | None
    """``SLURM_JOB_ID``, or in an array ``SLURM_ARRAY_JOB_ID`` and ``SLURM_ARRAY_TASK_ID`` with an underscore."""


def read_settings() -> Settings:
    """Read the current environment, which tests and notebooks may change between calls.

    Raises
    ------
    SettingsError
        When a variable of Slurm is not a whole number, or the ``.env`` file is not text.
    """
    variables = _dotenv_file(FOLDER_VARIABLES) | os.environ
    array_rank, array_size = 0, 1
    if "SUBMITIT_EXECUTOR" not in os.environ:
        n_after_first = _whole_number("SLURM_ARRAY_TASK_ID", 0) - _whole_number("SLURM_ARRAY_TASK_MIN", 0)
        array_rank = n_after_first // max(_whole_number("SLURM_ARRAY_TASK_STEP", 1), 1)
        array_size = _whole_number("SLURM_ARRAY_TASK_COUNT", 1)
    job_id = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job_id = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
    return Settings(
        results_dir=Path(variables.get("RESULTS_DIR") or "results").expanduser(),
        feature_dataset_dir=Path(variables.get("FEATURE_DATASET_DIR") or "feature_datasets").expanduser(),
        interpretable_neurons_dir=Path(
            variables.get("INTERPRETABLE_NEURONS_DIR") or "interpretable_neurons"
        ).expanduser(),
        n_cpus=_n_cpus(),
        array_rank=array_rank,
        array_size=array_size,
        job_id=job_id,
    )


def datasets_cache(home: Path) -> Path:
    """Return the folder in which the library `datasets` keeps what it has built; ``home`` is HF_HOME."""
    return Path(os.environ.get("HF_DATASETS_CACHE", home / "datasets")).expanduser()


def fill_environment() -> None:
    """Set `DOTENV_VARIABLES` from the ``.env`` file of the working directory, and `COMMAND_DEFAULTS`.

    Variables that are already set are not changed. Only the scripts' ``main`` may call this; it has to be
    before the first import of ``torch``, ``datasets`` or ``huggingface_hub``, which read these variables once.
    """
    for name, value in (COMMAND_DEFAULTS | _dotenv_file(DOTENV_VARIABLES)).items():
        os.environ.setdefault(name, value)


@contextmanager
def outside_any_job() -> Iterator[None]:
    """Remove the variables of an enclosing Slurm job, so that a job submitted meanwhile does not inherit them.

    Outside a job nothing is removed: a user may have set an account in ``SBATCH_ACCOUNT``.
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


def environment_of_a_program() -> dict[str, str]:
    """Return the environment of a Python program of ours that imports the packages from where this process did."""
    variables, root = dict(os.environ), str(Path(__file__).parents[2])
    if root != sysconfig.get_path("purelib"):  # a clone
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [root, variables.get("PYTHONPATH")]))
    return variables


def _dotenv_file(names: tuple[str, ...]) -> dict[str, str]:
    """Return those of some variables that the ``.env`` file of the working directory sets."""
    path = Path.cwd() / ".env"
    if not path.exists() or path.is_dir():  # a virtual environment may have this name
        return {}
    try:
        text = read_regular_file(path, MAX_DOTENV_BYTES).decode()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({first_line(error)}). Save it as text in UTF-8.") from error
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name in names if (value := values.get(name)) is not None}


def _n_cpus() -> int:
    value = os.environ.get("SLURM_CPUS_PER_TASK")
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not value.isdecimal() or int(value) < 1:
        raise SettingsError(
            f"SLURM_CPUS_PER_TASK is {value!r}, not a positive whole number. Unset it or set it to the number of CPUs."
        )
    return int(value)


def _whole_number(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdecimal():
        raise SettingsError(f"{variable} is {value!r}, not a whole number. Slurm sets it; unset it outside Slurm.")
    return int(value)
