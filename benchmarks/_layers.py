"""Layers to probe: synthetic correlated activations with planted features, or a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import erf

from experiments.activations.stores import ZarrStore
from experiments.probes.splits import grouped_stratified_split
from experiments.studies.data import SplitData
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.probed_rows import ProbedRows, feature_rows

TEST_FRACTION = 0.3
N_FACTORS = 64
PLANTED_NEURONS = (1, 4, 16, 64)
"""Neurons that carry a feature; features take these in turn."""


def synthetic_layer(n_train: int, width: int, n_features: int, seed: int = 0) -> Iterator[SplitData]:
    """Yield features of a layer of GELU activations, as float16 would store them.

    Pre-activations are a few factors of falling variance, whose scale varies from row to row,
    plus noise: neurons are correlated and heavy-tailed. A feature moves a few neurons of its
    own, by a shift that falls with their number, and has 10 to 20 % positives.

    Parameters
    ----------
    n_train : int
        Training rows; as many test rows are added as make them 30 % of all.
    width : int
        Neurons.
    n_features : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    n = round(n_train / (1 - TEST_FRACTION))
    hidden = _correlated(rng, n, width)
    labels = np.where(rng.random((n_features, n)) < rng.uniform(0.1, 0.2, (n_features, 1)), 1, -1).astype(np.int8)
    for feature, y in enumerate(labels):
        n_planted = min(PLANTED_NEURONS[feature % len(PLANTED_NEURONS)], width)
        neurons = rng.choice(width, n_planted, replace=False)
        shift = rng.choice([-1, 1], n_planted) * rng.uniform(1, 3, n_planted) / np.sqrt(n_planted)
        hidden[np.ix_(y > 0, neurons)] += shift
    activations = _gelu(hidden + rng.uniform(-1.8, -0.2, width)).astype(np.float16).astype(np.float32)
    for y in labels:
        yield SplitData(activations[:n_train], y[:n_train], activations[n_train:], y[n_train:])


def stored_layer(path: Path, feature_dataset: str, layer: int, seed: int = 0) -> Iterator[SplitData]:
    """Yield every feature of a data set at one layer of its store, split as stage 2 splits it."""
    store = ZarrStore.open(path)
    dataset = load_feature_dataset(feature_dataset, Path())
    activations, rows = store.read(layer), ProbedRows(*store.rows)
    for feature in dataset.features:
        chosen = feature_rows(dataset, feature, rows, store.plan.fingerprint["activation_aggregation"])
        y = chosen.label.astype(np.int8)
        split = grouped_stratified_split(y, chosen.group, TEST_FRACTION, seed)
        train, test = (activations[chosen.row[side]] for side in (split.train, split.test))
        yield SplitData(train, y[split.train], test, y[split.test])


def _correlated(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Return (n, width) correlated pre-activations of unit variance."""
    factors = rng.standard_normal((n, N_FACTORS)) * np.arange(1, N_FACTORS + 1) ** -0.9
    factors *= np.sqrt(rng.gamma(2, 0.5, (n, 1)))
    shared = factors @ rng.standard_normal((N_FACTORS, width))
    return 0.9 * shared / shared.std(0) + np.sqrt(1 - 0.9**2) * rng.standard_normal((n, width))


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / np.sqrt(2))) / 2
