"""Which layer of each feature validation rows choose, and the scores of all layers beside those of the controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.typing import SeriesGroupBy

from sparse_probing.probes.inference.share_interval import counted_share
from sparse_probing.probes.metrics.temperature import Reliability

SOLVERS = ("one_vs_rest", "one_vs_rest_adam")
"""Probes of the solvers; those with a closed form are for comparison."""


@dataclass(frozen=True)
class ReadFeature:
    """The results of one feature."""

    feature: str
    rows: pd.DataFrame
    """All rows, controls included."""
    layers: Mapping[int, int]
    """The layer with the lowest validation log loss, by test fold. A layer that is chosen by all folds together is
    chosen by test rows: those of one fold are validation rows of another."""
    confidence: float
    """Of intervals."""

    @property
    def layer(self) -> int:
        """The layer that the first test fold chose, whose probes are saved and transferred."""
        return self.layers[min(self.layers)]

    @property
    def probes(self) -> pd.DataFrame:
        """The rows of the solver without a control."""
        return self.rows[(self.rows["control"] == "") & self.rows["probe"].isin(SOLVERS)]

    @property
    def chosen(self) -> pd.DataFrame:
        """The row of each test fold at the layer that the fold chose."""
        return self._at_choice(self.probes).sort_values("fold")

    @property
    def accuracy(self) -> tuple[float, float, float]:
        """Share of right test rows of the chosen layers, over all folds, and the ends of its interval by groups."""
        return counted_share(self.chosen["test_group_counts"], self.confidence)

    @property
    def control_accuracies(self) -> dict[str, float]:
        """Test accuracy of every control at the chosen layers, averaged over folds."""
        controls = self.rows[(self.rows["control"] != "") & self.rows["probe"].isin(SOLVERS)]
        means = self._at_choice(controls).groupby("control")["test_accuracy"].mean()
        return {str(name): float(value) for name, value in means.items()}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; of a binary feature no and yes."""
        first = self.probes.iloc[0]
        if first["class_names"] is not None:
            return [str(name) for name in first["class_names"]]
        return ["no", "yes"] if first["classes"] is None else [f"{number:g}" for number in first["classes"]]

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) test rows of the chosen layers by true and predicted class, over all folds."""
        n_classes = len(self.class_names)
        return np.sum(list(self.chosen["test_confusion"]), axis=0).reshape(n_classes, n_classes)

    def reliability(self, column: str) -> Reliability:
        """Return rows, sums of confidences and right rows of the chosen layers, over all folds."""
        return Reliability(*np.sum(list(self.chosen[column]), axis=0).reshape(3, -1))

    def by_layer(self) -> pd.DataFrame:
        """Return the scores of every layer beside those of controls and closed forms.

        Accuracy is that of all test rows together; other scores are averaged over test folds.
        """
        probes = self.probes.groupby("layer")
        columns = ["validation_log_loss", "validation_accuracy", "test_roc_auc", "test_step_error"]
        columns += ["test_quadratic_kappa", "test_confidence_error_before", "test_confidence_error"]
        columns += ["excess_over_optimum"]
        table = with_accuracy(probes[columns].mean(), probes["test_group_counts"], self.confidence)
        others = self.rows[(self.rows["control"] == "") & ~self.rows["probe"].isin(SOLVERS)]
        for name, of_probe in others.groupby("probe", sort=True):
            table[str(name)] = of_probe.groupby("layer")["test_accuracy"].mean()
        controls = self.rows[(self.rows["control"] != "") & self.rows["probe"].isin(SOLVERS)]
        for name, of_control in controls.groupby("control", sort=True):
            table[str(name)] = of_control.groupby("layer")["test_accuracy"].mean()
        return table.reset_index()

    def _at_choice(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["layer"] == rows["fold"].map(dict(self.layers))]


def with_accuracy(table: pd.DataFrame, counts: SeriesGroupBy, confidence: float) -> pd.DataFrame:
    """Return a table with the accuracy of all folds together and its interval, by the ``test_group_counts`` of rows.

    The mean of the intervals of folds would be as wide as if there were one fold.
    """
    shares = {name: counted_share(of_one, confidence) for name, of_one in counts}
    columns = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    return table.join(pd.DataFrame.from_dict(shares, orient="index", columns=columns))


def read_features(rows: pd.DataFrame, confidence: float = 0.95) -> list[ReadFeature]:
    """Return the features of a run of reading probes, each with its chosen layers; of equal layers the first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the study, with all columns.
    confidence : float
        Of intervals.
    """
    features = []
    for name, of_feature in rows.groupby("feature", sort=True):
        probes = of_feature[(of_feature["control"] == "") & of_feature["probe"].isin(SOLVERS)]
        if len(probes):
            best = probes.sort_values(["validation_log_loss", "layer"]).drop_duplicates("fold")
            layers = dict(zip(best["fold"].astype(int), best["layer"].astype(int), strict=True))
            features.append(ReadFeature(str(name), of_feature, layers, confidence))
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
