"""Features to probe at one layer, split as stage 2 splits them: planted in a synthetic layer, or of a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks._synthetic import planted_layer
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from sparse_probing.activations.stores import open_store
from sparse_probing.config import ProbingConfig, SplitConfig
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.feature_splits import split_rows
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.variant_data import feature_data
from sparse_probing.studies.base.variants import NEURONS

TEST_FRACTION = 0.3


def rows_in_all(n_train: int) -> int:
    """Return how many rows have ``n_train`` left when the test rows are taken away."""
    return round(n_train / (1 - TEST_FRACTION))


def synthetic_data(n_train: int, width: int, n_features: int, seed: int = 0) -> list[FeatureData]:
    """Return the features of :func:`planted_layer`, every row is a group; each feature is split by its labels."""
    layer, labels = planted_layer(rows_in_all(n_train), width, n_features, seed)
    each = np.arange(len(layer))
    return [
        _feature(f"planted{i}", layer, FeatureRows(each, y.astype(float), each, each)) for i, y in enumerate(labels)
    ]


def stored_data(path: Path, feature_dataset: str, layer: int) -> list[FeatureData]:
    """Return every feature of a data set at one layer of its store."""
    store, dataset = open_store(path), load_feature_dataset(feature_dataset, Path())
    activations, rows = store.read(layer, dtype=None, order="F"), ProbedRows(*store.rows)
    aggregation = store.plan.fingerprint["activation_aggregation"]
    return [_feature(name, activations, feature_rows(dataset, name, rows, aggregation)) for name in dataset.features]


def _feature(feature: str, layer: np.ndarray, rows: FeatureRows) -> FeatureData:
    (split,) = split_rows(feature, "binary", rows, SplitConfig(test_set_frac=TEST_FRACTION), seed=0)
    return feature_data(split, layer, NEURONS, scaling="none", seed=0)


def fit_together(config: ProbingConfig, features: list[FeatureData]) -> list[FittedProbe]:
    """Rank the neurons of a layer for all features at once, then fit the first study of a configuration to each."""
    study = STUDIES[config.experiment_type[0]]
    config = study.resolved(config)
    return [probe for data in ranked(features, study.rankings_of(config)) for probe in study.fit(config, data)]
