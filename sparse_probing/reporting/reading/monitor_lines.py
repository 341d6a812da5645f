"""Recall and partial ROC-AUC at few false positives: a line for every layer, class and rate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sparse_probing.probes.metrics.monitor_metrics import FALSE_POSITIVE_RATES, resolution_note
from sparse_probing.reporting.reading.chosen_layers import ReadFeature


def monitor_lines(feature: ReadFeature) -> pd.DataFrame:
    """Return a line for every layer, test fold, class and false positive rate of the probes of the solver.

    The columns are feature, layer, fold, class, false_positive_rate, n_negative, recall and partial_roc_auc with the
    ends of their intervals (recall_low, ...), and note: why a rate cannot be measured.
    """
    lines: list[dict[str, object]] = []
    for row in feature.probes.sort_values(["fold", "layer"]).to_dict("records"):
        n_classes = len(feature.class_names)
        of_true_class = np.reshape(row["test_confusion"], (n_classes, n_classes)).sum(axis=1)
        # A binary probe has one score, of its second class.
        scored = range(n_classes) if n_classes > 2 or row["class_intercepts"] is not None else (1,)
        shape = (len(scored), len(FALSE_POSITIVE_RATES))
        columns = {
            f"{name}{end}": np.reshape(row[f"test_monitor_{name}{end}"], shape)
            for name in ("recall", "partial_roc_auc")
            for end in ("", "_low", "_high")
        }
        for i, k in enumerate(scored):
            n_negative = int(of_true_class.sum() - of_true_class[k])
            for j, rate in enumerate(FALSE_POSITIVE_RATES):
                lines.append(
                    {
                        "feature": feature.feature,
                        "layer": int(row["layer"]),
                        "fold": int(row["fold"]),
                        "class": feature.class_names[k] if len(scored) > 1 else feature.feature,
                        "false_positive_rate": rate,
                        "n_negative": n_negative,
                        **{name: float(values[i, j]) for name, values in columns.items()},
                        "note": resolution_note(n_negative, rate),
                    }
                )
    return pd.DataFrame(lines)
