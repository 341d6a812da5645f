"""Data of one feature for studies: a planted layer with its split, and rows of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from sparse_probing.config import ProbingConfig
from sparse_probing.result_rows import FittedProbe
from sparse_probing.studies.base.feature_data import FeatureData, SplitRows
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.study import Study

WIDTH, PLANTED, N_ROWS, N_TRAIN = 30, 11, 400, 300
"""Of the layer of :func:`planted_data`; PLANTED is the neuron that encodes the label."""


def split_rows(rows: Sequence[int] | NDArray, label: NDArray) -> SplitRows:
    """Return these rows of a layer, two in a group, each its own sequence."""
    rows = np.asarray(rows)
    return SplitRows(rows, label[rows].astype(np.float64), rows, rows // 2)


def planted_data(
    shift: float = 2.5,
    shuffle: bool = False,
    seed: int = 0,
    kind: FeatureKind = "binary",
    standardise: bool = False,
) -> FeatureData:
    """Return the data of a feature that a third of 400 rows have; 300 rows are for training."""
    rng = np.random.default_rng(seed)
    layer = rng.standard_normal((N_ROWS, WIDTH)).astype(np.float32)
    if kind == "binary":
        label = np.where(rng.random(N_ROWS) < 1 / 3, 1.0, -1.0)
        layer[:, PLANTED] += shift * (label > 0)
    elif kind == "multiclass":
        label = rng.integers(0, 3, N_ROWS).astype(np.float64)
        layer[:, PLANTED] += shift * label
    else:
        label = rng.standard_normal(N_ROWS)
        layer[:, PLANTED] += shift * label
    label = rng.permutation(label) if shuffle else label
    train, test = split_rows(np.arange(N_TRAIN), label), split_rows(np.arange(N_TRAIN, N_ROWS), label)
    return FeatureData("made", kind, np.asfortranarray(layer), train, test, standardise, (seed,))


def rank_and_fit(study: Study, config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Rank the neurons of one feature as a study requires, and fit the study."""
    return study.fit(config, ranked([data], study.rankings_of(config))[0])


def random_labels(kind: FeatureKind, n: int, seed: int) -> NDArray:
    """Return labels of a kind: -1/+1 (two fifths positive), three classes, or normal numbers."""
    rng = np.random.default_rng(seed)
    if kind == "regression":
        return rng.standard_normal(n)
    return rng.integers(0, 3, n) if kind == "multiclass" else np.where(rng.random(n) < 0.4, 1, -1)


def rows_of_feature(label: NDArray, row: NDArray | None = None) -> FeatureRows:
    """Return the rows of a feature: each its own sequence, two in a group."""
    row = np.arange(len(label)) if row is None else row
    return FeatureRows(row, np.asarray(label, float), row, row // 2)


def rows_in_groups(label: NDArray, per_group: int = 4) -> FeatureRows:
    """Return the rows of a feature: two in a sequence, ``per_group`` in a group."""
    row = np.arange(len(label))
    return FeatureRows(row, label, row // 2, row // per_group)
