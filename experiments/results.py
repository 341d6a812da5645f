"""The row of a fitted probe: its columns, and parquet in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

METRICS = (
    "f1_score",
    "precision",
    "recall",
    "mcc",
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
)
"""Metrics of a row, each once on training rows (``train_``) and once on test rows (``test_``)."""

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "experiment_name": (pa.string(), "name of the experiment"),
    "study": (pa.string(), "experiment type that fitted the probe"),
    "model": (pa.string(), "model as it was given"),
    "revision": (pa.string(), "revision of a hub model, empty when none was given"),
    "random_init": (pa.bool_(), "whether the model had random weights: a control"),
    "dataset": (pa.string(), "feature data set"),
    "feature": (pa.string(), "feature that is predicted"),
    "layer": (pa.int32(), "layer of the model, from 0"),
    "hook_point": (pa.string(), "hook point inside the layer"),
    "aggregation": (pa.string(), "none: a row is a token; mean, max, last: a row is a sequence"),
    "control": (pa.string(), "empty, or the control that was done to the data"),
    "ranking": (pa.string(), "how neurons were ranked, empty when they were not"),
    "probe": (pa.string(), "kind of probe"),
    "rank": (pa.int32(), "place of a single neuron in the ranking, from 1; 0 for probes of several"),
    "k": (pa.int32(), "number of neurons in the probe"),
    "normalized": (pa.bool_(), "whether neurons were standardised for the fit; coef and intercept are for stored ones"),
    "seed": (pa.int64(), "seed of the split and of random choices"),
    "n_train": (pa.int64(), "training rows"),
    "n_test": (pa.int64(), "test rows"),
    "n_positive_train": (pa.int64(), "positive training rows"),
    "n_positive_test": (pa.int64(), "positive test rows"),
    "support": (pa.list_(pa.int32()), "neurons of the probe"),
    "coef": (pa.list_(pa.float64()), "coefficient of each neuron of the support"),
    "intercept": (pa.float64(), "intercept, not regularised"),
    "regularization": (pa.float64(), "C of the logistic objective"),
    "objective": (pa.float64(), "C * weighted logistic loss + |coef|^2 / 2 at the solution"),
    "newton_decrement": (pa.float64(), "estimated relative distance of the objective from its optimum"),
    "iterations": (pa.int32(), "Newton steps"),
    "converged": (pa.bool_(), "whether that distance is below the tolerance"),
    "status": (pa.string(), "how the fit ended, in a sentence"),
    **{f"{part}_{m}": (pa.float64(), f"{m} on {part} rows") for part in ("train", "test") for m in METRICS},
}
"""Type and meaning of every column."""

SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


@dataclass(frozen=True)
class FittedProbe:
    """What a study reports of one probe."""

    probe: str
    ranking: str
    support: np.ndarray
    """(k,) int64."""
    coef: np.ndarray
    """(k,) float64."""
    intercept: float
    objective: float
    newton_decrement: float
    iterations: int
    converged: bool
    status: str
    rank: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """``train_`` and ``test_`` metrics."""

    def as_row(self) -> dict[str, Any]:
        """Return the columns that the probe itself fills."""
        return {
            "probe": self.probe,
            "ranking": self.ranking,
            "rank": self.rank,
            "k": len(self.support),
            "support": self.support,
            "coef": self.coef,
            "intercept": self.intercept,
            "objective": self.objective,
            "newton_decrement": self.newton_decrement,
            "iterations": self.iterations,
            "converged": self.converged,
            "status": self.status,
            **self.metrics,
        }


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows as parquet; the same rows give the same bytes."""
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    pq.write_table(pa.table(columns, schema=SCHEMA), path, compression="zstd")


def read_rows(paths: list[Path]) -> pd.DataFrame:
    """Read parquet files of rows into one DataFrame with all columns, even when there are none."""
    tables = [pq.read_table(path, schema=SCHEMA) for path in paths]
    return pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas()
