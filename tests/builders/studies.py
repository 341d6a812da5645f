"""Data of one feature for studies: a planted layer with its split, rows of features, and rows of results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from sparse_probing.config import ProbingConfig
from sparse_probing.neurons.ranked_neurons import CSV_COLUMNS
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.studies.base.feature_data import FeatureData, SplitRows
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.result_rows import FittedProbe
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
    scaling: Scaling = "none",
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
    return FeatureData("made", kind, np.asfortranarray(layer), train, test, scaling, (seed,))


def rank_and_fit(study: Study, config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Rank the neurons of one feature as a study requires, and fit the study."""
    config = study.resolved(config)
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


def single_neuron_row(
    layer: int,
    neuron: int,
    train_auc: float,
    test_f1: float,
    feature: str = "German",
    control: str = "",
    k: int = 1,
    **further: object,
) -> dict[str, object]:
    """Return the row of a probe of one neuron (or of ``k`` times the same); other scores are 0.5."""
    computed = ("neuron", "hook_loc", "rank", "found", "n_as_good", "always_yes_f1_score")
    computed += ("control_roc_auc", "control_f1_score")
    return {
        **{name: 0.5 for name in CSV_COLUMNS if name not in computed},
        "hook_point": "mlp.hook_post",
        "coef": [1.0] * k,
        "layer": layer,
        "support": [neuron] * k,
        "train_roc_auc": train_auc,
        "test_f1_score": test_f1,
        "feature": feature,
        "control": control,
        "k": k,
        "basis": "neurons",
        "probe": "single_neuron_logistic",
        "fold": 0,
        "ranking": "mean_dif",
        **further,
    }


SWEPT = [1, 2, 4, 8]
"""Numbers of neurons of :func:`sweep_rows`."""


def sweep_rows(
    n_features: int, n_layers: int, controls: Sequence[str] = ("", "shuffled_labels"), random_init: bool = False
) -> pd.DataFrame:
    """Return rows of a sparsity sweep with random scores, the largest k first."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": "tiny",
            "dataset": "made.tiny.16.-1",
            "hook_point": "mlp.hook_post",
            "aggregation": "mean",
            "random_init": random_init,
            "feature": f"feature {feature}",
            "layer": layer,
            "control": control,
            "k": k,
            "test_f1_score": rng.random(),
        }
        for feature in range(n_features)
        for layer in range(n_layers)
        for control in controls
        for k in reversed(SWEPT)
    ]
    return pd.DataFrame(rows)
