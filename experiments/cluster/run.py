"""A run: one configuration of stage 2, cut into tasks that are named by what decides their result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.activations.stores import ActivationStore
from experiments.cluster.inputs import PATHS, Inputs, open_inputs
from experiments.config import ProbingConfig, StudyName, settings_record
from experiments.studies import STUDIES
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.atomic_files import write_json
from probing_datasets.foundation.errors import DatasetError, SettingsError, StoreError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance

ALGORITHM_VERSION = 2
"""Raise when the same configuration gives other numbers: old results are then not reused."""

RESOURCES = ("cluster", "workers", "activations_dir")

WHAT_TASKS_ARE_CUT_FROM = (
    "experiment_type",
    "layers",
    "feature_subset",
    "features_per_task",
    "save_features_together",
)


@dataclass(frozen=True)
class Run:
    """A folder of tasks and their published results."""

    path: Path
    config: ProbingConfig
    tasks: dict[str, Task]
    """Tasks by key, in the order in which they are started."""
    input_digest: str
    """Digest of the activations that were planned for."""


@dataclass(frozen=True)
class Task:
    """The unit of work: a study of some features at one layer."""

    study: StudyName
    layer: int
    features: tuple[str, ...]


def plan_run(config: ProbingConfig) -> Run:
    """Check the inputs of a configuration, cut it into tasks and record it.

    Raises
    ------
    StoreError
        When there is no complete store; the message holds the command that makes it.
    DatasetError
        When the data set or a feature does not exist, or the store holds another version of it.
    """
    inputs = open_inputs(config)
    identity = _identity(config, inputs)
    keyed = {digest_json({**identity, **asdict(task)})[:16]: task for task in _tasks(config, inputs)}
    path = _run_path(config, digest_json({**identity, "tasks": list(keyed)}))
    run = Run(path, config, keyed, inputs.digest)
    write_json(run.path / "run.json", _record(run))
    return run


def load_run(path: Path) -> Run:
    """Read the record of a run."""
    record = json.loads((path / "run.json").read_text())
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["config"].items()}
    values |= {name: Path(values[name]) for name in PATHS}
    tasks = {task["key"]: Task(task["study"], task["layer"], tuple(task["features"])) for task in record["tasks"]}
    return Run(path, ProbingConfig(**values), tasks, record["inputs"]["activations"])


def _tasks(config: ProbingConfig, inputs: Inputs) -> list[Task]:
    _check_settings(config)
    layers, tasks = _chosen_layers(config, inputs.store), []
    for study in config.experiment_type:
        features = _chosen_features(config, study, inputs.dataset)
        size = len(features) if config.save_features_together else config.features_per_task
        groups = [features[i : i + size] for i in range(0, len(features), size)]
        tasks += [Task(study, layer, group) for layer in layers for group in groups]
    return tasks


def _check_settings(config: ProbingConfig) -> None:
    deaf = [study for study in config.experiment_type if not STUDIES[study].tunes]
    if config.regularization_grid and deaf:
        raise SettingsError(f"{', '.join(deaf)} cannot choose from --regularization_grid; set --regularization.")


def _chosen_features(config: ProbingConfig, study: StudyName, dataset: FeatureDataset) -> tuple[str, ...]:
    """Return the features of the kinds that a study takes; those named by the user must be."""
    dataset.check_features(config.feature_subset)
    kinds = {f: dataset.description.features[f].kind for f in config.feature_subset or dataset.features}
    takes = ("binary", "multiclass") if STUDIES[study].kind == "binary" else (STUDIES[study].kind,)
    fit = sorted(f for f, kind in kinds.items() if kind in takes)
    others = sorted(set(kinds) - set(fit))
    if others and (config.feature_subset or not fit):
        raise DatasetError(
            f"{study} takes {' and '.join(takes)} features, and {', '.join(others)} of {dataset.name} are not. "
            "Choose others with --feature_subset, or another --experiment_type."
        )
    return tuple(fit)


def _chosen_layers(config: ProbingConfig, store: ActivationStore) -> tuple[int, ...]:
    missing = sorted(set(config.layers) - set(store.plan.layers))
    if missing:
        held = ", ".join(map(str, store.plan.layers))
        raise StoreError(f"The store in {store.path} has no layer {missing[0]}; it holds layers {held}.")
    return tuple(sorted(set(config.layers))) or store.plan.layers


def _identity(config: ProbingConfig, inputs: Inputs) -> dict[str, Any]:
    """Everything that decides the numbers of a task but its study, layer and features."""
    left_out = (*PATHS, *RESOURCES, *WHAT_TASKS_ARE_CUT_FROM)
    settings = {k: v for k, v in asdict(config).items() if k not in left_out}
    return {"algorithm_version": ALGORITHM_VERSION, "activations": inputs.digest, "settings": settings}


def _run_path(config: ProbingConfig, digest: str) -> Path:
    experiment = config.results_dir / "probing" / config.experiment_name
    rows = f"{config.probe_location}.{config.activation_aggregation}"
    first, *others = config.experiment_type
    studies = f"{first}+{len(others)}" if others else first
    return experiment / config.model_name / config.dataset_name / rows / f"{studies}-{digest[:8]}"


def _record(run: Run) -> dict[str, Any]:
    tasks = [{"key": key, **asdict(task)} for key, task in run.tasks.items()]
    return {
        "config": settings_record(run.config),
        "inputs": {"activations": run.input_digest},
        "tasks": tasks,
        "versions": provenance(),
    }
