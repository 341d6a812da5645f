"""The data of a task: every feature at the task's layer, in each variant. Running and verifying a task share it."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.typing import NDArray

from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import StoreError
from sparse_probing.runs.planning.run_inputs import Inputs, open_inputs
from sparse_probing.runs.planning.run_record import Run, Task
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.feature_splits import FeatureSplit, labelled_features, split_features
from sparse_probing.studies.base.variant_data import data_of_variants


def open_task_inputs(run: Run) -> Inputs:
    """Open the inputs of a run.

    Raises
    ------
    StoreError
        When the store was written again after the run was created.
    """
    inputs = open_inputs(run.config)
    if inputs.digest != run.input_digest:
        raise StoreError(
            f"{inputs.store.path} was written again after the run was created. Run probing_experiment.py again."
        )
    return inputs


def task_data(run: Run, task: Task) -> tuple[Iterator[list[FeatureData]], dict[str, str]]:
    """Return the data of a task.

    Parameters
    ----------
    run : Run
    task : Task
        One of its tasks.

    Returns
    -------
    variants : iterator of list of FeatureData
        For each basis and control of the study, the data of all features and folds. A variant is read and
        prepared when the iterator reaches it; its layer keeps the precision in which it is stored.
    failures : dict
        Why other features have no data, by feature.

    Raises
    ------
    StoreError
        When the inputs are not those that the run was created for.
    """
    config, study, inputs = run.config, STUDIES[task.study], open_task_inputs(run)
    splits, failures = task_splits(run, task, inputs)

    def read(random_init: bool) -> NDArray:
        store = inputs.random_init if random_init and inputs.random_init is not None else inputs.store
        return store.read(task.layer, dtype=None, order="F")

    variants = study.variants(config, with_random_init=inputs.random_init is not None)
    return data_of_variants(study.resolved(config), variants, splits, task.layer, read), failures


def task_splits(run: Run, task: Task, inputs: Inputs) -> tuple[list[FeatureSplit], dict[str, str]]:
    """Return the splits of the features of a task into training and test rows, and why other features have none.

    They do not depend on the layer.
    """
    config, study = run.config, STUDIES[task.study]
    features, failures = labelled_features(
        inputs.dataset,
        task.features,
        ProbedRows(*inputs.store.rows),
        config.activations.activation_aggregation,
        config.activations.probe_next_token_feature,
    )
    splits, split_failures = split_features(
        features, study.kind, config.split, config.activations.seed, study.takes_classes
    )
    return splits, failures | split_failures
