"""The rows of results: one row per fitted probe, the meaning of its columns, and parquet files of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.errors import DamagedFileError

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    "f1_score",
    "f0.5_score",
    "f2_score",
    "precision",
    "recall",
    "mcc",
    "cohen_kappa",
    "fmi",
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "pr_auc",
)
"""Metrics of a binary probe, each once on training rows (``train_``) and once on test rows (``test_``)."""

CALIBRATION = ("brier_score", "expected_calibration_error", "log_loss")
"""Of the probabilities of binary probes after the correction for class weights."""

REGRESSION_METRICS = (
    "r2",
    "rmse",
    "mae",
    "explained_variance",
    "max_error",
    "mean_squared_error",
    "median_absolute_error",
    "mean_absolute_percentage_error",
    "d2_absolute_error",
    "pearson",
    "spearman",
)

MULTICLASS_METRICS = ("macro_f1_score", "weighted_f1_score", "macro_precision", "macro_recall")
"""Of multiclass probes, beside accuracy and balanced accuracy."""

ALL_METRICS = (*METRICS, *CALIBRATION, *REGRESSION_METRICS, *MULTICLASS_METRICS)

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "experiment_name": (pa.string(), "name of the experiment"),
    "study": (pa.string(), "experiment type that fitted the probe"),
    "model": (pa.string(), "model as it was named in the settings"),
    "revision": (pa.string(), "revision of a hub model, empty when none was named"),
    "random_init": (pa.bool_(), "whether the model had random weights: a control"),
    "dataset": (pa.string(), "feature data set"),
    "feature": (pa.string(), "feature that is predicted"),
    "layer": (pa.int32(), "layer of the model, from 0"),
    "hook_point": (pa.string(), "hook point inside the layer"),
    "aggregation": (pa.string(), "none: a row is a token; mean, max, last, attention: a row is a sequence"),
    "control": (pa.string(), "empty, or the control: what was changed in the data"),
    "basis": (pa.string(), "neurons, or the random directions that replace them: rotation, projection or subspace"),
    "trial": (pa.int32(), "number of the random basis or subspace, from 0"),
    "fold": (pa.int32(), "number of the fold with the test rows, from 0"),
    "ranking": (pa.string(), "how neurons were ranked, empty when they were not"),
    "probe": (pa.string(), "kind of probe"),
    "rank": (pa.int32(), "position of a single neuron in the ranking, from 1; 0 for probes of several"),
    "k": (pa.int32(), "number of neurons in the probe"),
    "step": (pa.int32(), "step of an iterative pruning, from 0"),
    "scaling": (
        pa.string(),
        "how neurons were scaled for the fit (coef and intercept are for stored activations): rms, unit, paper, none; "
        "of an optimal probe, the divisor of each neuron",
    ),
    "seed": (pa.int64(), "seed of the split and of random choices"),
    "n_train": (pa.int64(), "training rows"),
    "n_test": (pa.int64(), "test rows"),
    "n_positive_train": (pa.int64(), "positive training rows"),
    "n_positive_test": (pa.int64(), "positive test rows"),
    "n_train_of_classes": (pa.list_(pa.int64()), "of online probes of several classes: training rows of each"),
    "support": (pa.list_(pa.int32()), "neurons of the probe"),
    "coef": (pa.list_(pa.float64()), "coefficient of each neuron of the support (multinomial: of each class in turn)"),
    "query": (
        pa.list_(pa.float64()),
        "of attention pooling: the weights of the tokens of a text are the softmax of their products with it",
    ),
    "intercept": (pa.float64(), "intercept, not regularised; null where there is one per class"),
    "regularization": (pa.float64(), "C of the logistic objective; in regression 1 / alpha"),
    "l1_ratio": (pa.float64(), "share of the penalty that is |coef| (the rest is coef^2 / 2)"),
    "density": (pa.float64(), "share of the available neurons that the probe uses"),
    "objective": (pa.float64(), "weighted loss plus penalty at the solution"),
    "newton_decrement": (pa.float64(), "estimated relative distance of the objective from its optimum"),
    "duality_gap": (pa.float64(), "upper bound of that distance, relative to the objective"),
    "loss": (pa.string(), "loss of an optimal probe: hinge, logistic or squared"),
    "class_weight": (pa.string(), "balanced: all classes have the same total weight; none: every row has weight 1"),
    "ridge_multiplier": (pa.float64(), "m of the ridge m / sqrt(n_train); larger is a weaker penalty"),
    "ridge": (pa.float64(), "g of the penalty |coef|^2 / (2 g) on scaled neurons"),
    "candidates": (pa.list_(pa.int32()), "neurons among which the support was searched; null: the whole layer"),
    "n_candidates": (pa.int64(), "number of neurons among which the support was searched"),
    "lower_bound": (pa.float64(), "no support of k candidates has a smaller objective"),
    "optimality_gap": (pa.float64(), "(objective - lower_bound) / objective"),
    "proof_status": (pa.string(), "proved: to the requested gap; gap: not within the time limit; interrupted"),
    "solver": (pa.string(), "branch_and_bound or gurobi"),
    "nodes": (pa.int64(), "nodes of the search tree"),
    "n_kept": (pa.int64(), "candidates that the root of the tree could not exclude"),
    "root_gap": (pa.float64(), "relative gap before branching"),
    "seconds": (pa.float64(), "wall-clock time of the solve"),
    "seconds_to_support": (pa.float64(), "wall-clock time until the support was found"),
    "margin": (
        pa.float64(),
        "by which every bound exceeds its target, relative to the objective, to allow for rounding",
    ),
    "near_supports": (pa.list_(pa.list_(pa.int32())), "all supports within --osp_near_gap, best first"),
    "near_objectives": (pa.list_(pa.float64()), "their objectives"),
    "support_stability": (pa.list_(pa.float64()), "share of the resamples whose best support has the neuron"),
    "validation_f1_score": (pa.float64(), "mean over validation folds of the training rows"),
    "validation_roc_auc": (pa.float64(), "mean over validation folds of the training rows"),
    "validation_log_loss": (
        pa.float64(),
        "class-balanced log loss of validation folds of the training rows; of reading probes that of validation rows "
        "after the temperature",
    ),
    "validation_r2": (pa.float64(), "share of the variance that is predicted in validation folds of the training rows"),
    "validation_accuracy": (
        pa.float64(),
        "accuracy on validation rows, which chose C or the epoch, and the temperature",
    ),
    "n_validation": (pa.int64(), "validation rows; training rows exclude them where this is not null"),
    "temperature": (pa.float64(), "by which scores are divided before they become probabilities"),
    "chosen": (
        pa.bool_(),
        "whether validation chose this ridge, or this point of a path, among those compared; of reading probes: "
        "whether it is that of the solver",
    ),
    "replaceable": (
        pa.list_(pa.int32()),
        "neurons of the support that another candidate can replace at the same objective: it is equal, or the "
        "coefficient is zero",
    ),
    "intercept_low": (pa.float64(), "smallest intercept with the same hinge objective; the reported one is chosen"),
    "intercept_high": (pa.float64(), "largest intercept with the same hinge objective"),
    "excess": (pa.float64(), "objective above that of the best support of the whole layer, relative to it"),
    "proof": (pa.binary(), "log from which the lower bound can be proved again"),
    "iterations": (pa.int32(), "steps of the solver"),
    "converged": (pa.bool_(), "whether the relative distance from the optimum is below the tolerance"),
    "status": (pa.string(), "how the fit ended, in a sentence"),
    "train_mean_difference": (
        pa.float64(),
        "of a single neuron: distance of the class means on training rows, in standard deviations of all of them",
    ),
    **{f"{part}_{m}": (pa.float64(), f"{m} on {part} rows") for part in ("train", "test") for m in ALL_METRICS},
    "test_f1_score_low": (
        pa.float64(),
        "lower end of the interval of test_f1_score; groups are independent, their rows need not be",
    ),
    "test_f1_score_high": (pa.float64(), "upper end of the interval of test_f1_score"),
    "test_f1_score_standard_error": (
        pa.float64(),
        "of the mean test_f1_score over the random subspaces of this k; null for one subspace",
    ),
    "test_roc_auc_low": (pa.float64(), "lower end of the interval of test_roc_auc"),
    "test_roc_auc_high": (pa.float64(), "upper end of the interval of test_roc_auc"),
    "p_value": (pa.float64(), "two-sided p-value of test_roc_auc against 1/2; null for random subspaces"),
    "p_value_corrected": (pa.float64(), "the same, Benjamini-Hochberg over the neurons of the layer"),
    "p_value_max_statistic": (
        pa.float64(),
        "p-value of the training ROC-AUC among the best of all neurons with exchanged labels",
    ),
    "classes": (pa.list_(pa.float64()), "class numbers, in the order of the confusion matrix"),
    "class_names": (pa.list_(pa.string()), "names of these classes; null where they have none"),
    "class_intercepts": (pa.list_(pa.float64()), "intercept of each class"),
    "test_accuracy_low": (pa.float64(), "lower end of the interval of test_accuracy; groups are independent"),
    "test_accuracy_high": (pa.float64(), "upper end of the interval of test_accuracy"),
    "test_group_counts": (
        pa.list_(pa.int64()),
        "of test groups with equal numbers: rows, right rows, and how many groups; three numbers for each such pair",
    ),
    **{
        f"test_monitor_{name}{end}": (
            pa.list_(pa.float64()),
            f"{meaning} at false positive rates of .1, 1 and 5 %, of the score of each class in turn{of_end}",
        )
        for name, meaning in (("recall", "recall"), ("partial_roc_auc", "partial ROC-AUC (.5 is chance)"))
        for end, of_end in (
            ("", ""),
            ("_low", "; lower end of the interval by groups, NaN where the rate cannot be measured"),
            ("_high", "; upper end of that interval"),
        )
    },
    "test_step_error": (pa.float64(), "mean distance of true and predicted class, in steps of --class_order"),
    "test_quadratic_kappa": (pa.float64(), "kappa with quadratic weights in --class_order"),
    "test_confidence_error": (
        pa.float64(),
        "expected calibration error of the probability of the predicted class, after the temperature",
    ),
    "test_confidence_error_before": (pa.float64(), "that of the sigmoid of its score"),
    "test_reliability": (
        pa.list_(pa.float64()),
        "15 bins of that probability: rows, sums of probabilities, right rows; after the temperature",
    ),
    "test_reliability_before": (pa.list_(pa.float64()), "that of the sigmoid of the score"),
    "excess_over_optimum": (
        pa.float64(),
        "of --solver adam: objective after the last epoch above its minimum, relative to the minimum",
    ),
    "last_coef": (pa.list_(pa.float64()), "of --solver adam: coefficients after the last epoch, of each class in turn"),
    "last_intercepts": (pa.list_(pa.float64()), "of --solver adam: intercepts after the last epoch"),
    "curve_epoch": (pa.list_(pa.int64()), "of --solver adam: the epochs"),
    "curve_regularization": (pa.list_(pa.float64()), "of --solver converged: the values of C"),
    "curve_train_loss": (pa.list_(pa.float64()), "training loss of each of them, averaged over rows and classes"),
    "curve_train_accuracy": (pa.list_(pa.float64()), "training accuracy of each of them"),
    "curve_validation_accuracy": (pa.list_(pa.float64()), "validation accuracy; null where not validated"),
    "curve_validation_log_loss": (pa.list_(pa.float64()), "validation log loss of each C after its temperature"),
    "curve_gap": (
        pa.list_(pa.float64()),
        "objective above its minimum, relative to it: a bound (converged), or measured where validated (adam)",
    ),
    "curve_learning_rate": (pa.list_(pa.float64()), "learning rate of each epoch"),
    "test_confusion": (
        pa.list_(pa.int64()),
        "confusion matrix of the test rows, row by row: true class, then predicted class",
    ),
}
"""Type and meaning of every column; a column that does not apply to a probe is null."""

LOGS = ("proof",)
"""Columns that only the verifier reads: logs of searches, which can be megabytes each."""

SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


@dataclass(frozen=True)
class FittedProbe:
    """What a study reports about one probe."""

    probe: str
    support: np.ndarray
    """(k,) int64."""
    coef: np.ndarray
    """(k,) float64."""
    intercept: float | None
    """None for a probe with one intercept per class."""
    objective: float
    iterations: int
    converged: bool
    status: str
    ranking: str = ""
    rank: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    """``train_`` and ``test_`` metrics."""
    further: Mapping[str, Any] = field(default_factory=dict)
    """Columns that only some studies fill."""

    def as_row(self) -> dict[str, Any]:
        """Return the columns that the probe itself fills."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("metrics", "further")}
        return {**columns, "k": len(self.support), **self.metrics, **self.further}


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table with all columns of :data:`COLUMNS`.

    Raises
    ------
    ValueError
        When a row has a column that :data:`COLUMNS` does not define.
    """
    if unknown := {name for row in rows for name in row} - set(SCHEMA.names):
        raise ValueError(f"Rows have columns that COLUMNS does not define: {', '.join(sorted(unknown))}.")
    return pa.table({name: [row.get(name) for row in rows] for name in SCHEMA.names}, schema=SCHEMA)


def filled_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that at least one row fills, so that nobody sorts by a column of nulls.

    Without any row, all columns are returned.
    """
    return rows.loc[:, rows.notna().any()] if len(rows) else rows


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as parquet, without columns that no row fills; the same rows give the same bytes.

    Raises
    ------
    ValueError
        When a row has a column that :data:`COLUMNS` does not define.
    """
    table = table_of(rows)
    if rows:
        table = table.select([name for name in table.column_names if table.column(name).null_count < len(rows)])
    pq.write_table(table, path, compression="zstd")


def table_of_file(path: Path, content: bytes | None = None, names: Sequence[str] = SCHEMA.names) -> pa.Table:
    """Return columns of a parquet file of rows; ``content`` is that of the file, where it was read already.

    Raises
    ------
    DamagedFileError
        When it is not a parquet file, or has columns of other types.
    """
    try:
        table = pq.read_table(path if content is None else pa.BufferReader(content), schema=SCHEMA, columns=[*names])
        table.validate(full=True)  # that text is UTF-8, for example
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:  # OSError: what is compressed cannot be decompressed
        remedy = f"Delete {path.parent}, and run the same command again."
        raise DamagedFileError(f"{path} is damaged: it has no rows that can be read ({error}). {remedy}") from error
    return table


def read_rows(files: Iterable[Path | tuple[Path, bytes]], without: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read parquet files of rows into one DataFrame with all columns except ``without``, even without any rows.

    Columns that no row fills are null; :func:`filled_columns` leaves them out. A file that was read already is
    passed with its content.

    Raises
    ------
    DamagedFileError
        When a file is not a parquet file of rows.
    """
    names = [name for name in SCHEMA.names if name not in without]
    contents = (file if isinstance(file, tuple) else (file, None) for file in files)
    tables = [table_of_file(path, content, names) for path, content in contents]
    return pa.concat_tables([SCHEMA.empty_table().select(names), *tables]).to_pandas()
