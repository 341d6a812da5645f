"""Optimal supports of whole layers: how many are proved, in what time, and what two common shortcuts lose.

A probe is the best linear function of k neurons, of all neurons of the layer, under a ridge m / sqrt(n). Peers
are the exact optimum among the 50 neurons whose class means differ most, and the k neurons of that ranking; the
objective of theirs is compared with ours. Layers are synthetic, or those of a store. Time is CPU time, the limit of
a search too, so that a busy machine proves no less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import tyro
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks._layers import stored_data
from benchmarks._report import print_table, seconds
from benchmarks._synthetic import planted_layer
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.losses import LossName
from sparse_probing.probes.optimal.problem import SparseProblem, class_weights, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Limits, OptimalFit
from sparse_probing.probes.optimal.support_fit import fit_support
from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons

FILTER = 50
"""Best-ranked neurons among which the paper sought the optimum."""
WIDE_ROWS, WIDE_NEURONS, WIDE_FEATURES, WIDE_SECONDS = 14_000, 8_192, 2, 30.0

Solver = Callable[[SparseProblem, int, Limits], OptimalFit]


@dataclass(frozen=True)
class TableConfig:
    """Sizes of the table."""

    sizes: tuple[tuple[int, int], ...] = ((3_000, 512), (3_000, 1_536))
    """Rows and neurons of synthetic layers."""
    n_features: int = 3
    """Features of a synthetic layer."""
    store: Path | None = None
    """Activation store to probe instead of the synthetic layers."""
    feature_dataset: str = ""
    """Path of the data set behind the store."""
    layers: tuple[int, ...] = (0,)
    """Layers of the store."""
    ks: tuple[int, ...] = (1, 3, 5, 8)
    ridges: tuple[float, ...] = (1.0, 3.0, 10.0)
    """m of the ridge m / sqrt(n)."""
    loss: LossName = "hinge"
    """Of ``squared``, the targets are the labels."""
    seconds: float = 5.0
    """Of CPU time, that a search may take."""
    wide: bool = True
    """Also 14,000 rows x 8,192 neurons, at m = 1, in 30 seconds (synthetic; 5 GB of memory)."""
    threads: int = 1
    """Threads of BLAS, for everybody."""


@dataclass(frozen=True, eq=False)
class Feature:
    """A feature of a layer, on its training rows."""

    X: NDArray
    """(n, d) as stored."""
    y: Floats
    """(n,) -1/+1."""

    @cached_property
    def columns(self) -> NDArray[np.float32]:
        """(d, n) scaled neurons."""
        return scaled_columns(self.X)[0]

    @cached_property
    def ranked(self) -> NDArray:
        """(d,) neurons by the difference of class means, largest first."""
        scores = rank_neurons(self.X, self.y, "mean_dif", np.random.default_rng(0))
        return top_neurons(scores, self.X.shape[1])

    @property
    def size(self) -> str:
        """Rows and neurons."""
        return f"{len(self.y):,} x {self.X.shape[1]:,}"

    def problem(self, ridge: float, loss: LossName) -> SparseProblem:
        """Return what is to be solved at a ridge m / sqrt(n)."""
        return SparseProblem(self.columns, self.y, class_weights(self.y), ridge_of(len(self.y), ridge), loss)


@dataclass(frozen=True)
class Layer:
    """What is solved for every feature of a layer."""

    name: str
    features: Iterator[Feature]
    ridges: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Solved:
    """One support, beside those of the peers."""

    fit: OptimalFit
    cpu: float
    """Seconds of the search."""
    filtered: float
    """Objective of the optimum among the best-ranked neurons, over ours, less 1."""
    top: float
    """The same of the best-ranked neurons themselves."""
    outside: bool
    """Whether the support holds a neuron that the filter leaves out."""


def planted_features(n_rows: int, width: int, n_features: int) -> Iterator[Feature]:
    """Yield the features of a synthetic layer, all rows for training."""
    X, labels = planted_layer(n_rows, width, n_features)
    for y in labels:
        yield Feature(X, y.astype(np.float64))


def stored_features(path: Path, feature_dataset: str, layer: int) -> Iterator[Feature]:
    """Yield the features of a store, on the training rows that stage 2 would take."""
    for data in stored_data(path, feature_dataset, layer):
        yield Feature(data.layer[data.train.row], data.train.label)


def solve_in(cpu_seconds: float, solver: Solver, problem: SparseProblem, k: int) -> tuple[OptimalFit, float]:
    """Return what a solver finds in a time, and the CPU seconds that it took."""
    began = time.process_time()
    limits = Limits(seconds=math.inf, interrupted=lambda: time.process_time() - began >= cpu_seconds)
    return solver(problem, k, limits), time.process_time() - began


def warm_up(loss: LossName) -> None:
    """Compile what the solver needs, so that no search waits for it."""
    (feature,) = planted_features(100, 30, 1)
    for ridge in (1.0, 100.0):
        branch_and_bound(feature.problem(ridge, loss), 3, Limits(seconds=120.0))


def compare(config: TableConfig) -> list[dict[str, object]]:
    """Solve every size, ridge and k; return the rows of the table."""
    warm_up(config.loss)
    with threadpool_limits(config.threads):
        return [row for layer in _layers(config) for row in _rows_of(config, layer)]


def _layers(config: TableConfig) -> Iterator[Layer]:
    if config.store is not None:
        for layer in config.layers:
            features = stored_features(config.store, config.feature_dataset, layer)
            yield Layer(f"layer {layer}", features, config.ridges, config.seconds)
        return
    for n_rows, width in config.sizes:
        yield Layer("synthetic", planted_features(n_rows, width, config.n_features), config.ridges, config.seconds)
    if config.wide:
        yield Layer("synthetic", planted_features(WIDE_ROWS, WIDE_NEURONS, WIDE_FEATURES), (1.0,), WIDE_SECONDS)


def _rows_of(config: TableConfig, layer: Layer) -> Iterator[dict[str, object]]:
    solved: dict[tuple[float, int], list[Solved]] = {setting: [] for setting in product(layer.ridges, config.ks)}
    set_up, size = [], ""
    for feature in layer.features:
        set_up.append(seconds(lambda feature=feature: feature.columns).cpu)
        size = feature.size
        for (ridge, k), found in solved.items():
            found.append(_solve(feature, ridge, k, config.loss, layer.seconds))
    for (ridge, k), found in solved.items():
        start: dict[str, object] = {"layer": layer.name, "rows x neurons": size, "m": f"{ridge:g}", "k": k}
        yield start | _row(found) | {"set-up, s": f"{median(set_up):.1f}"}


def _solve(feature: Feature, ridge: float, k: int, loss: LossName, cpu_seconds: float) -> Solved:
    problem, best = feature.problem(ridge, loss), feature.ranked[:FILTER]
    fit, cpu = solve_in(cpu_seconds, branch_and_bound, problem, k)
    filtered, _ = solve_in(cpu_seconds, branch_and_bound, problem.restricted(best), min(k, len(best)))
    top = fit_support(problem, np.sort(best[:k]))
    excess = [other.objective / fit.objective - 1 for other in (filtered, top)]
    return Solved(fit, cpu, *excess, outside=not set(fit.support) <= set(best.tolist()))


def _row(found: list[Solved]) -> dict[str, object]:
    fits = [solved.fit for solved in found]
    return {
        "proved": f"{sum(fit.status == 'proved' for fit in fits)} of {len(fits)}",
        "gap, %: median": percent(median(fit.gap for fit in fits)),
        "largest": percent(max(fit.gap for fit in fits)),
        "s: median": f"{median(solved.cpu for solved in found):.2f}",
        "slowest": f"{max(solved.cpu for solved in found):.2f}",
        "nodes": f"{median(fit.nodes for fit in fits):.0f}",
        "kept": f"{median(fit.n_kept for fit in fits):.0f}",
        "root gap, %": percent(median(fit.root_gap for fit in fits)),
        "best of 50, % above: median": percent(median(solved.filtered for solved in found)),
        "most": percent(max(solved.filtered for solved in found)),
        "top k, % above": percent(median(solved.top for solved in found)),
        "outside the 50": f"{sum(solved.outside for solved in found)} of {len(found)}",
    }


def percent(share: float) -> str:
    """Return a share in percent, to a hundredth."""
    return f"{100 * share:.2f}"


if __name__ == "__main__":
    CONFIG = tyro.cli(TableConfig, description=__doc__)
    if CONFIG.store is not None and not CONFIG.store.exists():
        print(f"Skipped: there is no store {CONFIG.store}. Make one with get_activations.py.")
    else:
        print_table(compare(CONFIG))
