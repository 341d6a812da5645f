"""The sparsity sweep against scikit-learn and TransformerLens: seconds, coefficients and objectives.

All contenders rank neurons by the difference of class means on the training rows, fit a balanced
logistic probe to the first k of them for every k of the sweep, and measure it. Ours is the study as
stage 2 runs it: all features ranked together, eleven metrics on the training and on the test rows. The
peers take one feature after the other and measure the test rows alone: the recipe of Gurnee et al. 2023
(saga, 200 iterations) and Newton's method (newton-cholesky), both with eight metrics by scikit-learn, and
TransformerLens' ``sweep_sparse_probe`` with its own six. They begin with the layer as float32 in C order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits
from transformer_lens.tools.analysis.sparse_probing import sweep_sparse_probe

from benchmarks._layers import TEST_FRACTION, fit_together, stored_data, synthetic_data
from benchmarks._report import Seconds, alternate, median_ratio, median_seconds, print_table
from benchmarks.all_neurons import PEERS, sklearn_metrics
from sparse_probing.config import ProbingConfig, SearchConfig
from sparse_probing.studies.base.feature_data import FeatureData


@dataclass(frozen=True)
class SweepConfig:
    """Sizes of the comparison."""

    n_train: int = 10_000
    """Training rows of the synthetic layer."""
    width: int = 2048
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
    """Threads of BLAS, OpenMP and PyTorch, for everybody."""


@dataclass(frozen=True)
class Probe:
    """A fitted probe."""

    support: NDArray
    coef: NDArray
    intercept: float


Sweep = Callable[[], list[Probe]]
"""Fits every k of every feature; the probes come feature by feature, in ascending order of k."""


def compare(config: SweepConfig) -> list[dict[str, object]]:
    """Time every contender on all features; return the rows of the table."""
    torch.set_num_threads(config.threads)
    features = _features(config)
    found: dict[str, list[Probe]] = {}
    turns = {name: partial(_keep, found, name, sweep) for name, sweep in contenders(features, config.max_k).items()}
    with threadpool_limits(config.threads):
        times = alternate(turns, config.repeats)
    return [_row(name, times, found, features) for name in turns]


def _features(config: SweepConfig) -> list[FeatureData]:
    if config.store is None:
        return synthetic_data(config.n_train, config.width, config.n_features)
    return stored_data(config.store, config.feature_dataset, config.layer)


def contenders(features: list[FeatureData], max_k: int) -> dict[str, Sweep]:
    """Return the sweeps that are compared, by their names."""
    wide = features[0].layer.astype(np.float32, order="C")
    ks = SearchConfig(max_k=max_k).sparsity_levels(wide.shape[1])
    recipes = {name: partial(sklearn_sweep, solver, wide, ks) for name, solver in PEERS.items()}
    recipes["TransformerLens"] = partial(transformer_lens_sweep, wide, ks)
    ours: dict[str, Sweep] = {"ours": partial(our_sweep, max_k, features)}
    return ours | {name: partial(_one_by_one, recipe, features) for name, recipe in recipes.items()}


def our_sweep(max_k: int, features: list[FeatureData]) -> list[Probe]:
    """Run the study as a task of stage 2 does."""
    config = ProbingConfig.from_flags(
        experiment_type=("heuristic_sparsity_sweep",), max_k=max_k, scaling="none", regularization=1.0
    )
    return [Probe(probe.support, probe.coef, probe.intercept or 0.0) for probe in fit_together(config, features)]


def sklearn_sweep(solver: Mapping[str, Any], wide: NDArray, ks: list[int], data: FeatureData) -> list[Probe]:
    """Run the recipe for one feature with a solver and the metrics of scikit-learn."""
    x_train, x_test = wide[data.train.row], wide[data.test.row]
    means = [x_train[data.train.label == side].mean(0, dtype=np.float64) for side in (1, -1)]
    order = np.argsort(-np.abs(means[0] - means[1]), kind="stable")
    return [_sklearn_probe(solver, data, order[:k], x_train, x_test) for k in ks]


def _sklearn_probe(
    solver: Mapping[str, Any], data: FeatureData, support: NDArray, x_train: NDArray, x_test: NDArray
) -> Probe:
    fit = LogisticRegression(class_weight="balanced", random_state=0, **solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of iterations is part of the recipe
        fit.fit(x_train[:, support], data.train.label)
    sklearn_metrics(data.test.label, fit.decision_function(x_test[:, support]))
    return Probe(support, fit.coef_[0].astype(np.float64), float(fit.intercept_[0]))


def transformer_lens_sweep(wide: NDArray, ks: list[int], data: FeatureData) -> list[Probe]:
    """Run TransformerLens' sweep for one feature, on the same training and test rows.

    It divides the loss by the number of training rows, so its ridge is 1 / (C n) for C = 1. It
    splits whole groups: with two of them, the training and the test rows, it can only choose ours.
    """
    train, test = data.train, data.test
    row, label = np.concatenate([train.row, test.row]), np.concatenate([train.label, test.label])
    is_test = np.arange(len(row)) >= len(train.row)
    sweep = sweep_sparse_probe(
        torch.from_numpy(wide[row]),
        torch.from_numpy(label.astype(np.int64)),
        ks=ks,
        test_fraction=TEST_FRACTION,
        groups=torch.from_numpy(is_test.astype(np.int64)),
        l2_strength=1 / len(train.row),
    )
    return [Probe(r.selected_features.numpy(), r.coefficients.numpy(), float(r.intercept)) for r in sweep.results]


def _one_by_one(recipe: Callable[[FeatureData], list[Probe]], features: list[FeatureData]) -> list[Probe]:
    return [probe for data in features for probe in recipe(data)]


def _keep(found: dict[str, list[Probe]], name: str, sweep: Sweep) -> None:
    found[name] = sweep()


def objective(data: FeatureData, probe: Probe) -> float:
    """Return ``sum_i w_i log(1 + exp(-y_i f_i)) + |beta|^2 / 2`` in float64 on the training rows, w balanced."""
    y = data.train.label
    weights = len(y) / 2 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    return float(weights @ np.logaddexp(0, -y * _scores(data, probe, data.train.row)) + probe.coef @ probe.coef / 2)


def _scores(data: FeatureData, probe: Probe, row: NDArray) -> NDArray:
    return data.layer[:, probe.support][row].astype(np.float64) @ probe.coef + probe.intercept


def coefficient_distance(a: Probe, b: Probe) -> float:
    """Return the largest difference of two probes of the same neurons, intercepts too, over the largest of ``b``."""
    first, second = (np.append(probe.coef[np.argsort(probe.support)], probe.intercept) for probe in (a, b))
    return float(np.abs(first - second).max() / np.abs(second).max())


def _row(
    name: str, times: Mapping[str, list[Seconds]], found: Mapping[str, list[Probe]], features: list[FeatureData]
) -> dict[str, object]:
    """Return a row of the table; a difference below zero means that our objective is the lower one."""
    owners = np.repeat(np.arange(len(features)), len(found[name]) // len(features))
    pairs = [(features[i], a, b) for i, a, b in zip(owners, found["ours"], found[name], strict=True)]
    differences = [objective(data, a) / objective(data, b) - 1 for data, a, b in pairs]
    distances = [coefficient_distance(a, b) for _, a, b in pairs if set(a.support) == set(b.support)]
    return {
        "contender": name,
        "s a feature": f"{median_seconds(times[name]) / len(features):.3f}",
        "theirs / ours": f"{median_ratio(times[name], times['ours']):.1f}",
        "theirs / ours, CPU time": f"{median_ratio(times[name], times['ours'], 'cpu'):.1f}",
        "probes": len(pairs),
        "same neurons": len(distances),
        "objective, worst difference": f"{max(differences):+.1e}",
        "objective, best difference": f"{min(differences):+.1e}",
        "coefficients, median difference": f"{np.median(distances):.1e}",
        "coefficients, largest difference": f"{max(distances):.1e}",
        "mean test F1": f"{np.mean([_test_f1(data, b) for data, _, b in pairs]):.4f}",
    }


def _test_f1(data: FeatureData, probe: Probe) -> float:
    predicted = np.where(_scores(data, probe, data.test.row) > 0, 1, -1)
    return float(f1_score(data.test.label, predicted, zero_division=0))


if __name__ == "__main__":
    print_table(compare(tyro.cli(SweepConfig, description=__doc__)))
