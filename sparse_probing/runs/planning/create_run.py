"""Create a run: cut one configuration of stage 2 into tasks that are named by what decides their results."""

from __future__ import annotations

from collections.abc import Iterable

from probing_datasets.feature_dataset import FeatureDataset, FeatureKind
from probing_datasets.feature_dataset.near_duplicates import warn_of_near_duplicates
from probing_datasets.foundation.errors import DatasetError, SettingsError, StoreError, first_names, list_known
from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.runs.planning.other_datasets import check_comparable, open_other_datasets, score_names_of
from sparse_probing.runs.planning.run_inputs import Inputs, open_inputs
from sparse_probing.runs.planning.run_record import Run, Task, name_run, record_run
from sparse_probing.studies import STUDIES, check_studies
from sparse_probing.studies.reading.three_parts import check_class_order


def create_run(config: ProbingConfig) -> Run:
    """Check the inputs of a configuration, cut it into tasks and record the run.

    Raises
    ------
    StoreError
        When there is no complete store, also of a ``--test_feature_dataset``; the message contains the command that
        makes it.
    DatasetError
        When a data set or a feature does not exist, or the store was made from another version of it.
    ProbeError
        When probes cannot be compared with a ``--test_feature_dataset``.
    SettingsError
        When probes of more neurons than a layer has are requested, or ``--class_order`` does not name the classes.
    """
    run = build_run(config)
    record_run(run)
    return run


def build_run(config: ProbingConfig) -> Run:
    """Return the run that `create_run` would record; nothing is written.

    Raises
    ------
    StoreError, DatasetError, SettingsError, ProbeError
        As `create_run`.
    """
    inputs = open_inputs(config)
    warn_of_near_duplicates(inputs.dataset)
    stored = inputs.store.plan.layers
    missing = sorted(set(config.layers) - set(stored))
    if missing:
        layers = list_known(str(missing[0]), map(str, stored))
        raise StoreError(f"The store in {inputs.store.path} has no layer {missing[0]}; it holds layers {layers}.")
    layers = tuple(sorted(set(config.layers))) or stored
    check_numbers_of_neurons(config, max(inputs.store.plan.widths.values()))
    tasks = cut_tasks(config, layers, inputs.dataset)
    reading = [task for task in tasks if task.study == "reading_probes"]
    _check_reading(config, inputs, layers, {feature for task in reading for feature in task.features})
    return name_run(config, tasks, inputs.digest)


def _check_reading(config: ProbingConfig, inputs: Inputs, layers: Iterable[int], features: Iterable[str]) -> None:
    """Check what only reading probes use, before tasks are run: the order of classes, and other data sets."""
    names = {}
    for feature in sorted(features):
        whole, of_class = inputs.dataset.feature_and_class(feature)
        info = inputs.dataset.description.features[whole]
        labels = [info.label_name(label) for label in info.counts]
        check_class_order(config, feature, labels if of_class is None else [f"not {of_class}", of_class])
        names[feature] = score_names_of(inputs.dataset, feature)
    if names:
        for name, other in open_other_datasets(config, inputs, layers).items():
            check_comparable(name, other.dataset, names)


def cut_tasks(config: ProbingConfig, layers: Iterable[int], dataset: FeatureDataset) -> list[Task]:
    """Return the tasks of a configuration on these layers."""
    check_studies(config)
    tasks = []
    for study in config.experiment_type:
        features = features_of_study(study, config.feature_subset, dataset)
        size = len(features) if config.save_features_together else config.features_per_task
        groups = [features[i : i + size] for i in range(0, len(features), size)]
        tasks += [Task(study, layer, group) for layer in layers for group in groups]
    return tasks


def features_of_study(study: StudyName, subset: tuple[str, ...], dataset: FeatureDataset) -> tuple[str, ...]:
    """Return the features of the kinds that a study takes; every feature that the user names must be one."""
    subset = dataset.features_named(subset, STUDIES[study].kind)
    kinds: dict[str, FeatureKind] = {}
    for feature in subset or dataset.features:
        whole, of_class = dataset.feature_and_class(feature)
        kinds[feature] = dataset.description.features[whole].kind if of_class is None else "binary"
    accepted = ("binary", "multiclass") if STUDIES[study].kind == "binary" else (STUDIES[study].kind,)
    features = tuple(sorted(feature for feature, kind in kinds.items() if kind in accepted))
    others = sorted(set(kinds) - set(features))
    if others and (subset or not features):
        raise DatasetError(
            f"{study} takes {' and '.join(accepted)} features, and {first_names(others)} of {dataset.name} are not. "
            "Choose others with --feature_subset, or another --experiment_type."
        )
    return features


def check_numbers_of_neurons(config: ProbingConfig, width: int) -> None:
    """Raise SettingsError for an exact number of neurons above the width; ``--max_k`` and its like are only limits."""
    exact = {"ks": max(config.search.ks, default=0)}
    if any("pruning" in study or "prune" in study for study in config.experiment_type):
        exact["iterative_pruning_fixed_k"] = config.search.iterative_pruning_fixed_k
    for name, k in exact.items():
        if k > width:
            raise SettingsError(f"--{name} {k} is more than the {width} neurons of a layer. Choose at most {width}.")
