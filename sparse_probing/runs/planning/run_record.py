"""A run and its record: what ``run.json`` holds, and where the folders are.

::

    <study>-<digest of the settings>/
        launch.lock
        submissions/          one folder per submission: its record, batch script and logs
        <digest of the store>/
            run.json          the settings and the tasks
            attempts/         attempts at tasks that are not finished
            tasks/            results
            damaged/          results that do not have their checksum
            partial/          finished rows of tasks that are not finished
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from probing_datasets.foundation.errors import CodeChangedError, SettingsError, TaskError
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance
from sparse_probing.config import ProbingConfig, ShareConfig, StudyName, result_folders
from sparse_probing.config.probing import DECIDE_NO_RESULT

ALGORITHM_VERSION = 2
"""Increase when the same configuration gives other numbers: old results are then not reused."""

RUN_RECORD = "run.json"
DECIDE_THE_TASKS = (
    "experiment_type",
    "layers",
    "feature_subset",
    "features_per_task",
    "save_features_together",
)
"""Settings that decide which tasks there are, and not the numbers of a task."""


@dataclass(frozen=True)
class Task:
    """The unit of work: a study of some features at one layer."""

    study: StudyName
    layer: int
    features: Annotated[tuple[str, ...], Meta(min_length=1)]

    def __str__(self) -> str:
        return f"{self.study}, layer {self.layer}"


@dataclass(frozen=True)
class KeyedTask:
    """A task of the record of a run."""

    key: str
    task: Task


@dataclass(frozen=True)
class RunRecord:
    """The content of ``run.json``."""

    config: dict[str, Any]
    activations: str
    """Digest of the activations that the tasks read."""
    tasks: list[KeyedTask]
    """In the order in which they are started."""
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Run:
    """A folder of tasks and their published results."""

    path: Path
    config: ProbingConfig
    tasks: dict[str, Task]
    """Tasks by key, in the order in which they are started."""
    input_digest: str
    """Digest of the activations that the tasks read."""

    def __repr__(self) -> str:
        studies, n_layers = ", ".join(self.config.experiment_type), len({task.layer for task in self.tasks.values()})
        return f"<Run of {studies}: {len(self.tasks)} tasks on {n_layers} layers, in {self.path}>"

    @property
    def folder(self) -> Path:
        """Folder of the settings: the runs on other versions of the store are in it too, and all submissions."""
        return self.path.parent

    def share(self, rank: int, world_size: int) -> list[str]:
        """Return the keys of the tasks that one of several processes runs."""
        return list(ShareConfig(rank, world_size).of(list(self.tasks)))


def name_run(config: ProbingConfig, tasks: list[Task], input_digest: str) -> Run:
    """Return the run of these tasks: their configuration and input decide its folder and their keys."""
    identity = digest_json({**_identity(config), "activations": input_digest})
    keyed = {digest_json({"run": identity, **asdict(task)})[:16]: task for task in tasks}
    return Run(settings_folder(config) / input_digest[:8], config, keyed, input_digest)


def settings_folder(config: ProbingConfig) -> Path:
    """Return the folder of a configuration: it depends neither on the store nor on where the tasks run."""
    flags = config.flags()
    cut = {name: flags[name] for name in DECIDE_THE_TASKS}
    cut |= {name: sorted(set(cut[name])) for name in ("layers", "feature_subset")}
    digest = digest_json({**_identity(config), "cut": cut})[:8]
    return result_folders.settings_folder(config.activations, config.experiment_name, config.experiment_type, digest)


def record_run(run: Run) -> None:
    """Write the record of a run."""
    tasks = [KeyedTask(key, task) for key, task in run.tasks.items()]
    record = RunRecord(run.config.record_with_full_paths(), run.input_digest, tasks, provenance())
    write_sealed(run.path / RUN_RECORD, record)


def load_run(path: Path) -> Run:
    """Read the record of a run, and compute the keys of its tasks again from its configuration and input.

    Raises
    ------
    DamagedFileError
        When the record is not what was written.
    CodeChangedError
        When the tasks have other keys with this version of the code, because it would give other numbers.
    """
    file = path / RUN_RECORD
    remedy = "The command that launched the run writes it again: run that command."
    record = read_sealed(file, RunRecord, remedy)
    run = name_run(recorded_config(record.config, file), [each.task for each in record.tasks], record.activations)
    if list(run.tasks) != [each.key for each in record.tasks]:
        raise CodeChangedError(code_changed(file))
    return replace(run, path=path)


def recorded_config(record: dict[str, Any], file: Path) -> ProbingConfig:
    """Return the configuration that a file records.

    Raises
    ------
    CodeChangedError
        When this version of the code has other settings.
    """
    try:
        return ProbingConfig.from_record(record)
    except (SettingsError, KeyError, TypeError) as error:
        raise CodeChangedError(f"{code_changed(file)} ({error})") from error


def code_changed(file: Path) -> str:
    """Return the error for tasks whose code changed after their record was written."""
    return (
        f"The tasks of {file} are not those of this version of the code: "
        "the code changed since this was submitted; launch again."
    )


def find_run(folder: Path) -> Run | None:
    """Return the newest run in a folder of settings, or the run in this folder; None when there is none."""
    records = [folder / RUN_RECORD] if (folder / RUN_RECORD).exists() else list(folder.glob(f"*/{RUN_RECORD}"))
    if not records:
        return None
    return load_run(max(records, key=lambda record: record.stat().st_mtime_ns).parent)


def one_key(run: Run, prefix: str) -> str:
    """Return the key that starts with ``prefix``.

    Raises
    ------
    TaskError
        When no key starts with it, or several do.
    """
    keys = [key for key in run.tasks if key.startswith(prefix)]
    if len(keys) != 1:
        raise TaskError(
            f"{len(keys)} tasks of {run.path} have a key that begins with {prefix!r}. `status --json` lists all keys."
        )
    return keys[0]


def _identity(config: ProbingConfig) -> dict[str, Any]:
    """Return what decides the numbers of a task, except the activations and its study, layer and features."""
    others = (*DECIDE_NO_RESULT, *DECIDE_THE_TASKS)
    settings = {name: value for name, value in config.flags().items() if name not in others}
    return {"algorithm_version": ALGORITHM_VERSION, "settings": settings}
