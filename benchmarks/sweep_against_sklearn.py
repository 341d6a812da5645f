"""The sparsity sweep against scikit-learn: seconds, and the objective that each reaches.

All contenders rank neurons by the difference of class means on the training rows, fit a balanced
logistic probe to the first k of them for every k of the sweep, and compute eight metrics. Ours is
the study as stage 2 runs it (metrics on training and test rows); the peers are the recipe of Gurnee
et al. 2023 (saga, 200 iterations) and Newton's method (newton-cholesky), each given the float32 that a
store gives, with scikit-learn's metrics on the test rows alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks._layers import stored_layer, synthetic_layer
from benchmarks._report import Seconds, alternate, median_ratio, median_seconds, print_table
from experiments.config import ProbingConfig
from experiments.studies import STUDIES
from experiments.studies.data import SplitData
from experiments.studies.heuristic_sparsity_sweep import SPARSITY_LEVELS


@dataclass(frozen=True)
class SweepConfig:
    """Sizes of the comparison."""

    n_train: int = 1500
    """Training rows of the synthetic layer."""
    width: int = 512
    """Neurons of the synthetic layer."""
    n_features: int = 4
    """Features of the synthetic layer."""
    store: Path | None = None
    """Activation store to probe instead of the synthetic layer."""
    feature_dataset: str = ""
    """Path of the data set behind the store."""
    layer: int = 0
    """Layer of the store."""
    max_k: int = 256
    repeats: int = 3
    threads: int = 1
    """Threads of BLAS and OpenMP, for everybody."""


@dataclass(frozen=True)
class Probe:
    """A fitted probe."""

    support: np.ndarray
    coef: np.ndarray
    intercept: float
    test_f1: float


PEERS: dict[str, dict[str, Any]] = {
    "saga, 200 iterations": {"solver": "saga", "max_iter": 200},
    "newton-cholesky": {"solver": "newton-cholesky"},
}
"""Solvers of scikit-learn's LogisticRegression."""


def our_sweep(data: SplitData, max_k: int) -> list[Probe]:
    """Run the study and return its probes."""
    config = ProbingConfig(experiment_type="heuristic_sparsity_sweep", max_k=max_k)
    probes = STUDIES[config.experiment_type](config, data, np.random.default_rng(0))
    return [Probe(p.support, p.coef, p.intercept, p.metrics["test_f1_score"]) for p in probes]


def peer_sweep(solver: dict[str, Any], data: SplitData, max_k: int) -> list[Probe]:
    """Run the recipe with a solver and the metrics of scikit-learn."""
    means = [data.x_train[data.y_train == side].mean(0, dtype=np.float64) for side in (1, -1)]
    ranked = np.argsort(-np.abs(means[0] - means[1]), kind="stable")
    return [_peer_probe(solver, data, ranked[:k]) for k in SPARSITY_LEVELS if k <= min(max_k, data.width)]


def _peer_probe(solver: dict[str, Any], data: SplitData, support: np.ndarray) -> Probe:
    fit = LogisticRegression(class_weight="balanced", random_state=0, **solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of iterations is part of the recipe
        fit.fit(data.x_train[:, support], data.y_train)
    test = sklearn_metrics(data.y_test, fit.decision_function(data.x_test[:, support]))
    return Probe(support, fit.coef_[0].astype(np.float64), float(fit.intercept_[0]), test["f1_score"])


def sklearn_metrics(y: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the eight metrics of a probe by scikit-learn's functions."""
    predicted = np.where(scores > 0, 1, -1)
    return {
        "f1_score": float(metrics.f1_score(y, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(y, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(y, predicted)),
        "mcc": float(metrics.matthews_corrcoef(y, predicted)),
        "accuracy": float(metrics.accuracy_score(y, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(y, predicted)),
        "roc_auc": float(metrics.roc_auc_score(y, scores)),
        "average_precision": float(metrics.average_precision_score(y, scores)),
    }


def objective(data: SplitData, probe: Probe) -> float:
    """Return ``sum_i w_i log(1 + exp(-y_i f_i)) + |beta|^2 / 2`` in float64, w balanced."""
    y = data.y_train.astype(np.float64)
    margins = y * (data.x_train[:, probe.support].astype(np.float64) @ probe.coef + probe.intercept)
    weights = len(y) / 2 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    return float(weights @ np.logaddexp(0, -margins) + probe.coef @ probe.coef / 2)


def compare(config: SweepConfig) -> list[dict[str, object]]:
    """Time every contender on every feature; return the rows of the table."""
    sweeps: dict[str, Callable[[SplitData], list[Probe]]] = {"ours": partial(our_sweep, max_k=config.max_k)}
    sweeps |= {name: partial(peer_sweep, peer, max_k=config.max_k) for name, peer in PEERS.items()}
    times: dict[str, list[Seconds]] = {name: [] for name in sweeps}
    pairs: dict[str, list[tuple[SplitData, Probe, Probe]]] = {name: [] for name in sweeps}
    with threadpool_limits(config.threads):
        for data in _features(config):
            found: dict[str, list[Probe]] = {}
            turns = alternate(
                {name: partial(_keep, found, name, s, data) for name, s in sweeps.items()}, config.repeats
            )
            for name in sweeps:
                times[name] += turns[name]
                pairs[name] += [(data, ours, theirs) for ours, theirs in zip(found["ours"], found[name], strict=True)]
    return [_row(name, times["ours"], times[name], pairs[name]) for name in sweeps]


def _features(config: SweepConfig) -> Iterable[SplitData]:
    if config.store is None:
        return synthetic_layer(config.n_train, config.width, config.n_features)
    return stored_layer(config.store, config.feature_dataset, config.layer)


def _keep(found: dict[str, list[Probe]], name: str, sweep: Callable[[SplitData], list[Probe]], data: SplitData) -> None:
    found[name] = sweep(data)


def _row(
    name: str, ours: list[Seconds], theirs: list[Seconds], pairs: list[tuple[SplitData, Probe, Probe]]
) -> dict[str, object]:
    """Return a row of the table; a difference below zero means that our objective is the lower one."""
    differences = [objective(data, a) / objective(data, b) - 1 for data, a, b in pairs]
    same = [set(a.support) == set(b.support) for _, a, b in pairs]
    return {
        "contender": name,
        "s a feature": f"{median_seconds(theirs):.3f}",
        "theirs / ours": f"{median_ratio(theirs, ours):.1f}",
        "theirs / ours, CPU time": f"{median_ratio(theirs, ours, 'cpu'):.1f}",
        "probes": len(pairs),
        "same neurons": sum(same),
        "worst difference": f"{max(differences):+.1e}",
        "best difference": f"{min(differences):+.1e}",
        "mean test F1": f"{np.mean([b.test_f1 for _, _, b in pairs]):.4f}",
    }


if __name__ == "__main__":
    print_table(compare(tyro.cli(SweepConfig, description=__doc__)))
