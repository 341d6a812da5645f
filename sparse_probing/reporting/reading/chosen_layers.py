"""Which layer of each feature validation rows choose, and the scores of all layers beside those of the controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

SOLVERS = ("one_vs_rest", "one_vs_rest_adam")
"""Probes of the solvers; those with a closed form are for comparison."""


@dataclass(frozen=True)
class ReadFeature:
    """The results of one feature."""

    feature: str
    rows: pd.DataFrame
    """All rows, controls included."""
    layer: int
    """The layer with the lowest validation log loss, averaged over test folds."""

    @property
    def probes(self) -> pd.DataFrame:
        """The rows of the solver without a control."""
        return self.rows[(self.rows["control"] == "") & self.rows["probe"].isin(SOLVERS)]

    @property
    def chosen(self) -> pd.DataFrame:
        """The rows of the chosen layer, one for each test fold."""
        return self.probes[self.probes["layer"] == self.layer].sort_values("fold")

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; of a binary feature no and yes."""
        first = self.probes.iloc[0]
        if first["class_names"] is not None:
            return [str(name) for name in first["class_names"]]
        return ["no", "yes"] if first["classes"] is None else [f"{number:g}" for number in first["classes"]]

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) test rows of the chosen layer by true and predicted class, over all folds."""
        n_classes = len(self.class_names)
        return np.sum(list(self.chosen["test_confusion"]), axis=0).reshape(n_classes, n_classes)

    def reliability(self, column: str) -> np.ndarray:
        """Return (3, bins) rows, sums of confidences and right rows of the chosen layer, over all folds."""
        return np.sum(list(self.chosen[column]), axis=0).reshape(3, -1)

    def by_layer(self) -> pd.DataFrame:
        """Return the scores of every layer, averaged over test folds, beside those of controls and closed forms."""
        probes = self.probes.groupby("layer")
        columns = ["validation_log_loss", "validation_accuracy", "test_accuracy", "test_accuracy_low"]
        columns += ["test_accuracy_high", "test_roc_auc", "test_step_error", "test_quadratic_kappa"]
        columns += ["test_confidence_error_before", "test_confidence_error", "excess_over_optimum"]
        table = probes[columns].mean()
        others = self.rows[(self.rows["control"] == "") & ~self.rows["probe"].isin(SOLVERS)]
        for name, of_probe in others.groupby("probe", sort=True):
            table[str(name)] = of_probe.groupby("layer")["test_accuracy"].mean()
        controls = self.rows[(self.rows["control"] != "") & self.rows["probe"].isin(SOLVERS)]
        for name, of_control in controls.groupby("control", sort=True):
            table[str(name)] = of_control.groupby("layer")["test_accuracy"].mean()
        return table.reset_index()


def read_features(rows: pd.DataFrame) -> list[ReadFeature]:
    """Return the features of a run of reading probes, each with its chosen layer; of equal layers the first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the study, with all columns.
    """
    features = []
    for name, of_feature in rows.groupby("feature", sort=True):
        probes = of_feature[(of_feature["control"] == "") & of_feature["probe"].isin(SOLVERS)]
        if len(probes):
            losses = probes.groupby("layer")["validation_log_loss"].mean()
            features.append(ReadFeature(str(name), of_feature, int(losses.idxmin())))
    return features


def training_metrics(feature: ReadFeature) -> pd.DataFrame:
    """Return a line for every epoch (or value of C) of every layer and test fold.

    The columns are layer, epoch, train_loss, train_accuracy, val_accuracy, best_accuracy, is_best, loss_gap,
    learning_rate, C, fold, feature.
    """
    tables = []
    for row in feature.probes.sort_values(["fold", "layer"]).to_dict("records"):
        by_epoch = row["curve_epoch"] is not None
        accuracy = np.array(row["curve_validation_accuracy"], np.float64)
        best = pd.Series(accuracy).cummax().ffill()
        if by_epoch:
            before = np.concatenate([[-1.0], best.fillna(-1.0)[:-1]])
            is_best = accuracy > before
        else:
            is_best = np.asarray(row["curve_regularization"]) == row["regularization"]
        table = pd.DataFrame(
            {
                "layer": row["layer"],
                "epoch": row["curve_epoch"] if by_epoch else pd.NA,
                "train_loss": row["curve_train_loss"],
                "train_accuracy": row["curve_train_accuracy"],
                "val_accuracy": accuracy,
                "best_accuracy": best,
                "is_best": is_best,
                "loss_gap": np.array(row["curve_gap"], np.float64),
                "learning_rate": row["curve_learning_rate"] if by_epoch else pd.NA,
                "C": row["regularization"] if by_epoch else row["curve_regularization"],
                "fold": row["fold"],
                "feature": feature.feature,
            }
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
