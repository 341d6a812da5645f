"""A run: one configuration of stage 2, cut into tasks that are named by what decides their result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.activations.stores import ActivationStore
from experiments.cluster.inputs import PATHS, open_inputs
from experiments.config import ProbingConfig, settings_record
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.atomic_files import write_json
from probing_datasets.foundation.errors import DatasetError, StoreError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance

ALGORITHM_VERSION = 1
"""Raise when the same configuration gives other numbers: old results are then not reused."""

RESOURCES = ("cluster", "workers")


@dataclass(frozen=True)
class Run:
    """A folder of tasks and their published results."""

    path: Path
    config: ProbingConfig
    tasks: dict[str, Task]
    """Tasks by key, in the order in which they are started."""
    store_digest: str
    """Digest of the store that was planned for."""


@dataclass(frozen=True)
class Task:
    """The unit of work: some features at one layer."""

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
    dataset, store = open_inputs(config)
    features = _chosen_features(config, dataset)
    layers = _chosen_layers(config, store)
    identity = _identity(config, store)
    size = len(features) if config.save_features_together else config.features_per_task
    groups = [features[i : i + size] for i in range(0, len(features), size)]
    tasks = [Task(layer, group) for layer in layers for group in groups]
    keyed = {digest_json({**identity, **asdict(task)})[:16]: task for task in tasks}
    path = _run_path(config, digest_json({**identity, "tasks": list(keyed)}))
    run = Run(path, config, keyed, store.digest)
    write_json(run.path / "run.json", _record(run))
    return run


def load_run(path: Path) -> Run:
    """Read the record of a run."""
    record = json.loads((path / "run.json").read_text())
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["config"].items()}
    values |= {name: Path(values[name]) for name in PATHS}
    tasks = {task["key"]: Task(task["layer"], tuple(task["features"])) for task in record["tasks"]}
    return Run(path, ProbingConfig(**values), tasks, record["inputs"]["store"])


def _chosen_features(config: ProbingConfig, dataset: FeatureDataset) -> tuple[str, ...]:
    dataset.check_features(config.feature_subset)
    chosen = config.feature_subset or dataset.features
    kinds = {f: dataset.description.features[f].kind for f in chosen}
    other = [f for f, kind in kinds.items() if kind != "binary"]
    if other:
        raise DatasetError(
            f"{config.experiment_type} needs binary features, and {', '.join(other)} of {dataset.name} are not. "
            "Choose others with --feature_subset."
        )
    return tuple(sorted(set(chosen)))


def _chosen_layers(config: ProbingConfig, store: ActivationStore) -> tuple[int, ...]:
    missing = sorted(set(config.layers) - set(store.plan.layers))
    if missing:
        held = ", ".join(map(str, store.plan.layers))
        raise StoreError(f"The store in {store.path} has no layer {missing[0]}; it holds layers {held}.")
    return tuple(sorted(set(config.layers))) or store.plan.layers


def _identity(config: ProbingConfig, store: ActivationStore) -> dict[str, Any]:
    """Everything that decides the numbers of a task but its layer and features."""
    left_out = (*PATHS, *RESOURCES, "layers", "feature_subset", "features_per_task", "save_features_together")
    settings = {k: v for k, v in asdict(config).items() if k not in left_out}
    return {"algorithm_version": ALGORITHM_VERSION, "store": store.digest, "settings": settings}


def _run_path(config: ProbingConfig, digest: str) -> Path:
    experiment = config.results_dir / "probing" / config.experiment_name
    rows = f"{config.probe_location}.{config.activation_aggregation}"
    return experiment / config.model_name / config.dataset_name / rows / f"{config.experiment_type}-{digest[:8]}"


def _record(run: Run) -> dict[str, Any]:
    tasks = [{"key": key, **asdict(task)} for key, task in run.tasks.items()]
    return {
        "config": settings_record(run.config),
        "inputs": {"store": run.store_digest},
        "tasks": tasks,
        "versions": provenance(),
    }
