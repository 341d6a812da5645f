"""A converged probe, with its metrics, of every neuron of a layer, against the recipe of Gurnee et al. 2023.

Ours fits blocks of neurons on the training rows and computes eight metrics on the test rows. The peer is
the paper's ``enumerate_monosemantic``: scikit-learn's LogisticRegression (saga, 200 iterations, balanced)
on one neuron, and the same metrics by scikit-learn's functions; newton-cholesky instead of saga converges.
Peers are timed on a few neurons. A difference is ``ours / theirs - 1`` of the objective in float64.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tyro
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks._report import print_table
from benchmarks._synthetic import planted_layer
from sparse_probing.probes.l2.single_neuron import SingleNeuronFit, fit_single_neurons
from sparse_probing.probes.metrics.classification import classification_metrics

TEST_FRACTION = 0.3
METRICS_BLOCK = 128
"""Neurons that are scored together."""
PEERS: dict[str, dict[str, Any]] = {
    "saga, 200 iterations": {"solver": "saga", "max_iter": 200},
    "newton-cholesky": {"solver": "newton-cholesky"},
}


@dataclass(frozen=True)
class AllNeuronsConfig:
    """Sizes of the comparison."""

    n_train: int = 10_000
    width: int = 2048
    n_features: int = 20
    peer_neurons: int = 16
    """Neurons of the first two features that peers fit."""
    threads: int = 1
    """Threads of BLAS, OpenMP and PyTorch, the same for all contenders."""


@dataclass(frozen=True)
class Feature:
    """A feature with rows of the layer to train and test on."""

    train: np.ndarray
    test: np.ndarray
    label: np.ndarray
    """(n,) of all rows of the layer."""


@dataclass
class Timed:
    """CPU seconds of a contender for all probes that it fitted."""

    fit: float = 0.0
    metrics: float = 0.0
    probes: int = 0


def compare(config: AllNeuronsConfig) -> list[dict[str, object]]:
    """Fit every neuron for every feature, and a few of them by peers; return the rows of the table."""
    torch.set_num_threads(config.threads)
    X, labels = planted_layer(round(config.n_train / (1 - TEST_FRACTION)), config.width, config.n_features)
    features = list(_split(config, labels))
    with threadpool_limits(config.threads):
        ours, fits = _our_fits(X, features)
        rows = [_row("ours", ours, ours, [], all(f.converged.all() for f in fits))]
        for name, solver in PEERS.items():
            theirs, differences = _peer_fits(config, solver, X, features[:2], fits)
            rows.append(_row(name, theirs, ours, differences, None))
    return rows


def _split(config: AllNeuronsConfig, labels: np.ndarray) -> Iterator[Feature]:
    rng = np.random.default_rng(0)
    for y in labels:
        rows = rng.permutation(len(y))
        yield Feature(np.sort(rows[: config.n_train]), np.sort(rows[config.n_train :]), y)


def _our_fits(X: np.ndarray, features: list[Feature]) -> tuple[Timed, list[SingleNeuronFit]]:
    timed, fits = Timed(), []
    fit_single_neurons(X[:, :8], features[0].label)  # compile the fit
    for feature in features:
        start = time.process_time()
        fits.append(fit_single_neurons(X, feature.label[feature.train], rows=feature.train))
        middle = time.process_time()
        _our_metrics(X, feature, fits[-1])
        timed.fit += middle - start
        timed.metrics += time.process_time() - middle
        timed.probes += X.shape[1]
    return timed, fits


def _our_metrics(X: np.ndarray, feature: Feature, fit: SingleNeuronFit) -> None:
    for first in range(0, X.shape[1], METRICS_BLOCK):
        columns = slice(first, first + METRICS_BLOCK)
        scores = X[feature.test, columns].astype(np.float32) * fit.coef[columns] + fit.intercept[columns]
        classification_metrics(feature.label[feature.test], scores)


def _peer_fits(
    config: AllNeuronsConfig,
    solver: dict[str, Any],
    X: np.ndarray,
    features: list[Feature],
    fits: list[SingleNeuronFit],
) -> tuple[Timed, list[float]]:
    timed, differences = Timed(), []
    for feature, ours in zip(features, fits, strict=False):
        y = feature.label[feature.train]
        for neuron in range(config.peer_neurons):
            train, test = (X[rows, neuron].astype(np.float32)[:, None] for rows in (feature.train, feature.test))
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of iterations is part of the recipe
                model = LogisticRegression(class_weight="balanced", random_state=0, **solver).fit(train, y)
            middle = time.process_time()
            sklearn_metrics(feature.label[feature.test], model.decision_function(test))
            timed.fit += middle - start
            timed.metrics += time.process_time() - middle
            timed.probes += 1
            theirs = objective(train[:, 0], y, float(model.coef_[0, 0]), float(model.intercept_[0]))
            differences.append(objective(train[:, 0], y, ours.coef[neuron], ours.intercept[neuron]) / theirs - 1)
    return timed, differences


def sklearn_metrics(y: np.ndarray, scores: np.ndarray) -> list[float]:
    """Return the eight metrics of a probe by scikit-learn's functions."""
    predicted = np.where(scores > 0, 1, -1)
    by_class = (metrics.accuracy_score, metrics.balanced_accuracy_score, metrics.matthews_corrcoef)
    ratios = (metrics.precision_score, metrics.recall_score, metrics.f1_score)
    areas = (metrics.roc_auc_score, metrics.average_precision_score)
    return [
        *(float(metric(y, predicted)) for metric in by_class),
        *(float(metric(y, predicted, zero_division=0)) for metric in ratios),
        *(float(metric(y, scores)) for metric in areas),
    ]


def objective(column: np.ndarray, y: np.ndarray, coef: float, intercept: float) -> float:
    """Return ``sum_i w_i log(1 + exp(-y_i f_i)) + coef^2 / 2`` in float64, w balanced."""
    weights = len(y) / 2 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    return float(weights @ np.logaddexp(0, -y * (column.astype(np.float64) * coef + intercept)) + coef**2 / 2)


def _row(name: str, theirs: Timed, ours: Timed, differences: list[float], converged: bool | None) -> dict[str, object]:
    our_ms, their_ms = ((t.fit + t.metrics) / t.probes * 1e3 for t in (ours, theirs))
    return {
        "contender": name,
        "probes": f"{theirs.probes:,}",
        "CPU s in all": f"{theirs.fit + theirs.metrics:.1f}",
        "ms a probe": f"{their_ms:.2f}",
        "fit, ms": f"{theirs.fit / theirs.probes * 1e3:.2f}",
        "metrics, ms": f"{theirs.metrics / theirs.probes * 1e3:.2f}",
        "theirs / ours": f"{their_ms / our_ms:.0f}",
        "all converged": "" if converged is None else "yes" if converged else "no",
        "worst difference": f"{max(differences):+.0e}" if differences else "",
        "best difference": f"{min(differences):+.0e}" if differences else "",
    }


if __name__ == "__main__":
    print_table(compare(tyro.cli(AllNeuronsConfig, description=__doc__)))
