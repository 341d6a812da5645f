"""Metrics of many probes, and standard errors of their areas under the ROC curve: milliseconds per probe.

Ours processes all probes together; the peers are called once per probe: scikit-learn's functions for eight
metrics, and DeLong's error by ranks (Sun and Xu 2014) with SciPy's ``rankdata``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics
from threadpoolctl import threadpool_limits

from benchmarks._report import alternate, median_ratio, median_seconds, print_table
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.probes.metrics.classification import classification_metrics

METRICS = ("f1_score", "precision", "recall", "mcc", "accuracy", "balanced_accuracy", "roc_auc", "average_precision")


@dataclass(frozen=True)
class MetricsConfig:
    """Sizes of the comparison."""

    n_rows: int = 7000
    n_probes: int = 256
    share_positive: float = 0.15
    repeats: int = 5


def sklearn_metrics(y: NDArray, scores: NDArray) -> NDArray:
    """Return the metrics (8, m) of every column of ``scores`` (n, m) by scikit-learn's functions."""
    return np.array([_of_one(y, column) for column in scores.T]).T


def _of_one(y: NDArray, scores: NDArray) -> list[float]:
    predicted = np.where(scores > 0, 1, -1)
    of_labels = [
        metrics.f1_score(y, predicted, zero_division=0),
        metrics.precision_score(y, predicted, zero_division=0),
        metrics.recall_score(y, predicted),
        metrics.matthews_corrcoef(y, predicted),
        metrics.accuracy_score(y, predicted),
        metrics.balanced_accuracy_score(y, predicted),
    ]
    return [*of_labels, metrics.roc_auc_score(y, scores), metrics.average_precision_score(y, scores)]


def errors_by_ranks(y: NDArray, scores: NDArray) -> NDArray:
    """Return DeLong's standard error (m,) of every column of ``scores`` (n, m), one by one."""
    return np.array([_error_by_ranks(column[y > 0], column[y < 0]) for column in scores.T])


def _error_by_ranks(positives: NDArray, negatives: NDArray) -> float:
    m, n = len(positives), len(negatives)
    ranks = rankdata(np.concatenate([positives, negatives]))
    v10 = (ranks[:m] - rankdata(positives)) / n
    v01 = 1 - (ranks[m:] - rankdata(negatives)) / m
    return float(np.sqrt(v10.var(ddof=1) / m + v01.var(ddof=1) / n))


def compare(config: MetricsConfig) -> list[dict[str, object]]:
    """Time ours and the peers on the same scores; return the rows of the table."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random(config.n_rows) < config.share_positive, 1, -1)
    scores = rng.standard_normal((config.n_rows, config.n_probes)) + 0.5 * y[:, None]
    ours = {
        "eight metrics": lambda: np.array([*classification_metrics(y, scores, only=METRICS).values()]),
        "error of the area": lambda: roc_inference(y, scores).standard_error,
    }
    peers = {
        "eight metrics": partial(sklearn_metrics, y, scores),
        "error of the area": partial(errors_by_ranks, y, scores),
    }
    with threadpool_limits(1):
        times = alternate({**{f"ours {k}": v for k, v in ours.items()}, **peers}, config.repeats)
    return [
        {
            "what": name,
            "ours, ms a probe": f"{1e3 * median_seconds(times[f'ours {name}'], 'cpu') / config.n_probes:.3f}",
            "one by one, ms a probe": f"{1e3 * median_seconds(times[name], 'cpu') / config.n_probes:.3f}",
            "one by one / ours": f"{median_ratio(times[name], times[f'ours {name}'], 'cpu'):.1f}",
            "largest difference": f"{np.abs(ours[name]() - peers[name]()).max():.0e}",
        }
        for name in ours
    ]


if __name__ == "__main__":
    print_table(compare(tyro.cli(MetricsConfig, description=__doc__)))
