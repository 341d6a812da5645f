"""What a task is fitted to: the rows of its features, and its layer in every variant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError, StoreError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.bases import BASES
from sparse_probing.runs.planning.inputs import Inputs, open_inputs
from sparse_probing.runs.planning.run import Run, Task
from sparse_probing.studies import Study
from sparse_probing.studies.base.variants import Variant, control_in_basis


def inputs_of(run: Run) -> Inputs:
    """Open the inputs of a run.

    Raises
    ------
    StoreError
        When they are not those that the run was planned for.
    """
    inputs = open_inputs(run.config)
    if inputs.digest != run.input_digest:
        path = inputs.store.path
        raise StoreError(f"{path} was written anew after the run was planned. Run probing_experiment.py again.")
    return inputs


def features_of(
    inputs: Inputs, task: Task, config: ProbingConfig
) -> tuple[dict[str, tuple[FeatureKind, FeatureRows]], dict[str, str]]:
    """Return kind and rows of every feature of a task, and why others have none."""
    stored, found, failed = ProbedRows(*inputs.store.rows), {}, {}
    for feature in task.features:
        kind = inputs.dataset.description.features[feature].kind
        try:
            rows = feature_rows(
                inputs.dataset,
                feature,
                stored,
                config.activations.activation_aggregation,
                config.activations.probe_next_token_feature,
            )
            found[feature] = (kind, rows)
        except DatasetError as error:
            failed[feature] = str(error)
    return found, failed


def variants_of(config: ProbingConfig, study: Study, inputs: Inputs) -> list[Variant]:
    """Return the bases of a study and its controls, those left out whose store is not there."""
    controls = [
        control_in_basis(name, config.search.basis) for name in config.statistics.controls if name in study.controls
    ]
    there = [control for control in controls if inputs.random_init is not None or not control.random_init]
    return [*study.variants(config), *there]


def layers_of(inputs: Inputs, layer: int, variants: list[Variant], seed: int) -> Iterator[tuple[Variant, NDArray]]:
    """Yield each variant with the activations it is fitted to, in the precision they are stored in."""
    stored = inputs.store.read(layer, dtype=None, order="F")
    for variant in variants:
        source = stored
        if variant.random_init and inputs.random_init is not None:
            source = inputs.random_init.read(layer, dtype=None, order="F")
        # One thread: several add up in another order, and proofs are about the last bits of a turned layer too.
        with threadpool_limits(1):
            turned = BASES[variant.basis](source, np.random.default_rng((seed, layer, variant.trial)))
        yield variant, turned
