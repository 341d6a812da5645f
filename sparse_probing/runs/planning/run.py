"""The plan of a run: what ``run.json`` holds, and where the folders lie.

::

    <study>-<digest of the settings>/
        launch.lock
        submissions/          one folder per submission: its record, batch script and logs
        <digest of the store>/
            run.json          the settings and the tasks
            attempts/         tasks that were begun and are not done
            tasks/            results
            damaged/          results that did not have their checksum
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probing_datasets.foundation.atomic_files import write_json
from probing_datasets.foundation.errors import TaskError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance
from sparse_probing.config import ProbingConfig, StudyName, locations
from sparse_probing.config.probing import DECIDE_NO_RESULT

ALGORITHM_VERSION = 2
"""Raise when the same configuration gives other numbers: old results are then not reused."""

PLAN = "run.json"
WHAT_TASKS_ARE_CUT_FROM = (
    "experiment_type",
    "layers",
    "feature_subset",
    "features_per_task",
    "save_features_together",
)


@dataclass(frozen=True)
class Task:
    """The unit of work: a study of some features at one layer."""

    study: StudyName
    layer: int
    features: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.study}, layer {self.layer}"


@dataclass(frozen=True)
class Run:
    """A folder of tasks and their published results."""

    path: Path
    config: ProbingConfig
    tasks: dict[str, Task]
    """Tasks by key, in the order in which they are started."""
    input_digest: str
    """Digest of the activations that were planned for."""

    @property
    def folder(self) -> Path:
        """Folder of the settings: the runs on other versions of the store are in it too, and all submissions."""
        return self.path.parent

    def share(self, rank: int, world_size: int) -> list[str]:
        """Return the keys of those tasks that one of several processes does."""
        return list(self.tasks)[rank::world_size]


def name_run(config: ProbingConfig, tasks: list[Task], input_digest: str) -> Run:
    """Return the run of some tasks: it is their configuration and input that name them."""
    identity = {**_identity(config), "activations": input_digest}
    keyed = {digest_json({**identity, **asdict(task)})[:16]: task for task in tasks}
    return Run(settings_folder(config) / input_digest[:8], config, keyed, input_digest)


def settings_folder(config: ProbingConfig) -> Path:
    """Return the folder of a configuration, whatever the store holds and wherever the tasks run."""
    flags = config.flags()
    cut = {name: flags[name] for name in WHAT_TASKS_ARE_CUT_FROM}
    cut |= {name: sorted(set(cut[name])) for name in ("layers", "feature_subset")}
    digest = digest_json({**_identity(config), "cut": cut})[:8]
    return locations.settings_folder(config.activations, config.experiment_name, config.experiment_type, digest)


def write_plan(run: Run) -> None:
    """Record the tasks of a run."""
    tasks = [{"key": key, **asdict(task)} for key, task in run.tasks.items()]
    record = {
        "config": run.config.record_with_full_paths(),
        "inputs": {"activations": run.input_digest},
        "tasks": tasks,
        "versions": provenance(),
    }
    write_json(run.path / PLAN, record)


def load_run(path: Path) -> Run:
    """Read the record of a run."""
    record = json.loads((path / PLAN).read_text())
    tasks = {task["key"]: Task(task["study"], task["layer"], tuple(task["features"])) for task in record["tasks"]}
    return Run(path, ProbingConfig.from_record(record["config"]), tasks, record["inputs"]["activations"])


def find_run(folder: Path) -> Run | None:
    """Return the run of a folder of settings that was planned last, or that of a run's own folder."""
    plans = [folder / PLAN] if (folder / PLAN).exists() else list(folder.glob(f"*/{PLAN}"))
    if not plans:
        return None
    return load_run(max(plans, key=lambda plan: plan.stat().st_mtime_ns).parent)


def one_key(run: Run, prefix: str) -> str:
    """Return the key that begins with ``prefix``; TaskError where none does, or several."""
    keys = [key for key in run.tasks if key.startswith(prefix)]
    if len(keys) != 1:
        raise TaskError(f"{len(keys)} tasks of {run.path} have a key that begins with {prefix!r}. `status` shows them.")
    return keys[0]


def _identity(config: ProbingConfig) -> dict[str, Any]:
    """Everything that decides the numbers of a task but the activations, its study, layer and features."""
    left_out = (*DECIDE_NO_RESULT, *WHAT_TASKS_ARE_CUT_FROM)
    settings = {name: value for name, value in config.flags().items() if name not in left_out}
    return {"algorithm_version": ALGORITHM_VERSION, "settings": settings}
