"""A run: one configuration of stage 2, cut into tasks that are named by what decides their result."""

from __future__ import annotations

from collections.abc import Iterable

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError, SettingsError, StoreError
from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.runs.planning.inputs import open_inputs
from sparse_probing.runs.planning.run import Run, Task, load_run, name_run, write_plan
from sparse_probing.studies import STUDIES

__all__ = ["Run", "Task", "load_run", "make_plan", "plan_run"]


def plan_run(config: ProbingConfig) -> Run:
    """Check the inputs of a configuration, cut it into tasks and record it.

    Raises
    ------
    StoreError
        When there is no complete store; the message holds the command that makes it.
    DatasetError
        When the data set or a feature does not exist, or the store holds another version of it.
    """
    run = make_plan(config)
    write_plan(run)
    return run


def make_plan(config: ProbingConfig) -> Run:
    """Do what `plan_run` does, but write nothing."""
    inputs = open_inputs(config)
    layers = _chosen_layers(config, inputs.store.plan.layers, str(inputs.store.path))
    return name_run(config, cut_tasks(config, layers, inputs.dataset), inputs.digest)


def cut_tasks(config: ProbingConfig, layers: Iterable[int], dataset: FeatureDataset) -> list[Task]:
    """Return the tasks of a configuration on some layers."""
    _check_settings(config)
    tasks = []
    for study in config.experiment_type:
        features = _chosen_features(config, study, dataset)
        size = len(features) if config.save_features_together else config.features_per_task
        groups = [features[i : i + size] for i in range(0, len(features), size)]
        tasks += [Task(study, layer, group) for layer in layers for group in groups]
    return tasks


def _check_settings(config: ProbingConfig) -> None:
    deaf = [study for study in config.experiment_type if not STUDIES[study].tunes]
    if config.fit.regularization_grid and deaf:
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


def _chosen_layers(config: ProbingConfig, stored: tuple[int, ...], path: str) -> tuple[int, ...]:
    missing = sorted(set(config.layers) - set(stored))
    if missing:
        held = ", ".join(map(str, stored))
        raise StoreError(f"The store in {path} has no layer {missing[0]}; it holds layers {held}.")
    return tuple(sorted(set(config.layers))) or stored
