"""Features to probe at one layer, split as in stage 2: planted in a synthetic layer, or from a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks._synthetic import planted_layer
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from sparse_probing.activations.stores import open_store
from sparse_probing.config import ProbingConfig
from sparse_probing.results import FittedProbe
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.prepare import make_problem, questions, ranked
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.base.variants import NEURONS

TEST_FRACTION = 0.3


def rows_in_all(n_train: int) -> int:
    """Return the number of rows of which ``n_train`` remain without the test rows."""
    return round(n_train / (1 - TEST_FRACTION))


def synthetic_problems(n_train: int, width: int, n_features: int, seed: int = 0) -> list[Problem]:
    """Return the features of :func:`planted_layer`, each split by its labels; every row is one group."""
    layer, labels = planted_layer(rows_in_all(n_train), width, n_features, seed)
    each = np.arange(len(layer))
    return [
        _problem(f"planted{i}", layer, FeatureRows(each, y.astype(float), each, each)) for i, y in enumerate(labels)
    ]


def stored_problems(path: Path, feature_dataset: str, layer: int) -> list[Problem]:
    """Return every feature of a data set at one layer of its store."""
    store, dataset = open_store(path), load_feature_dataset(feature_dataset, Path())
    activations, rows = store.read(layer, dtype=None, order="F"), ProbedRows(*store.rows)
    aggregation = store.plan.fingerprint["activation_aggregation"]
    return [_problem(name, activations, feature_rows(dataset, name, rows, aggregation)) for name in dataset.features]


def _problem(feature: str, layer: np.ndarray, rows: FeatureRows) -> Problem:
    config = ProbingConfig.from_flags(test_set_frac=TEST_FRACTION)
    (question,) = questions(config, feature, "binary", rows)
    return make_problem(config, question, layer, NEURONS)


def fit_together(config: ProbingConfig, problems: list[Problem]) -> list[FittedProbe]:
    """Rank the neurons of a layer for all features together, then fit the first study of a configuration to each."""
    study = STUDIES[config.experiment_type[0]]
    return [probe for problem in ranked(study, config, problems) for probe in study.fit(config, problem)]
