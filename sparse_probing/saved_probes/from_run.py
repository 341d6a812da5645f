"""From a row of a run to a probe that can be applied to texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probing_datasets.feature_dataset import load_feature_dataset
from sparse_probing.activations.stores import open_store
from sparse_probing.config import ProbingConfig
from sparse_probing.saved_probes.saved_probe import SavedProbe


def probe_from_row(config: ProbingConfig, row: Mapping[str, Any]) -> SavedProbe:
    """Return the probe of a row of a run.

    Parameters
    ----------
    config : ProbingConfig
        Settings of the run.
    row : mapping
        A row of its results, with one intercept.
    """
    activations = config.activations
    dataset = load_feature_dataset(activations.feature_dataset, activations.feature_dataset_dir)
    origin = open_store(config.store_folder()).plan.fingerprint
    (tokens,) = dataset.tokens(np.array([0]))  # every sequence has the same special tokens around it
    n_prefix, n_suffix = dataset.description.n_prefix, dataset.description.n_suffix
    return SavedProbe(
        feature=row["feature"],
        model=activations.model,
        revision=activations.revision,
        random_init=origin["random_init"],
        weight_hash=origin["weight_hash"],
        dtype=origin["dtype"],
        layer=int(row["layer"]),
        hook_point=activations.probe_location,
        aggregation=activations.activation_aggregation,
        prefix=tuple(tokens[:n_prefix].tolist()),
        suffix=tuple(tokens[len(tokens) - n_suffix :].tolist()),
        context_length=dataset.description.context_length,
        support=np.asarray(row["support"], dtype=np.int64),
        coef=np.asarray(row["coef"], dtype=np.float64),
        intercept=float(row["intercept"]),
    )
