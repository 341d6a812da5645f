"""The L1 path against skglm, liblinear and saga: seconds, and the duality gap that each reaches.

Logistic probes with balanced classes, an L1 penalty and a free intercept, for a few values of C from the
first neuron to a few hundred. Ours receives the float16 of a store and standardises it within its time;
the peers receive standardised float64 in the memory order that is fastest for them. skglm has no row
weights: it receives a weighted loss, compiled in the round that is not timed. liblinear also penalises
the intercept, so its gap never closes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tyro
from numba import float64
from skglm.datafits import Logistic
from skglm.penalties import L1
from skglm.solvers import ProxNewton
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks._report import Seconds, alternate, median_ratio, median_seconds, print_table
from benchmarks._synthetic import planted_layer
from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import class_weights
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.l1.losses import LogisticLoss
from sparse_probing.probes.l1.proximal_newton import Penalty, SparsePoint, minimise

FittedPath = list[np.ndarray]
"""Per C, the coefficients of standardised columns and the intercept (d + 1,)."""


@dataclass(frozen=True)
class PathConfig:
    """Sizes of the comparison."""

    n_rows: int = 1500
    width: int = 512
    n_Cs: int = 9
    largest: float = 10.0
    """Ratio of the last C to the one at which the first neuron enters."""
    repeats: int = 3
    liblinear: bool = True
    saga: bool = True
    """200 iterations, the recipe of Gurnee et al. 2023, here with L1."""
    threads: int = 1
    """Threads of BLAS and OpenMP, the same for all contenders."""


@dataclass(frozen=True)
class Layer:
    """One feature of a layer, as stored and as the peers need it."""

    stored: np.ndarray
    y: np.ndarray
    columns: ScaledColumns
    standardised: np.ndarray
    """(n, d) float64, each column contiguous."""
    weights: np.ndarray
    Cs: np.ndarray


def make_layer(config: PathConfig) -> Layer:
    """Return a feature that 64 neurons encode, with the values of C."""
    stored, labels = planted_layer(config.n_rows, config.width, 4, 0)
    y = labels[3].astype(np.float64)
    columns = ScaledColumns.of(stored, standardize=True)
    standardised = np.asfortranarray((stored.astype(np.float64) - columns.mean) / columns.scale)
    null = fit_l1_path(stored, y, n_Cs=1).null_strength
    Cs = null * np.geomspace(1, config.largest, config.n_Cs + 1)[1:]
    return Layer(stored, y, columns, standardised, class_weights((y > 0).astype(np.int64), "balanced"), Cs)


def our_path(layer: Layer) -> FittedPath:
    """Fit the path."""
    fits, path = fit_l1_path(layer.stored, layer.y, layer.Cs.tolist()).fits, []
    for fit in fits:
        flat = np.zeros(layer.stored.shape[1] + 1)
        flat[fit.support] = fit.coef * layer.columns.scale[fit.support]
        flat[-1] = fit.intercept + fit.coef @ layer.columns.mean[fit.support]
        path.append(flat)
    return path


class WeightedLogistic(Logistic):
    """skglm's logistic loss with a weight per row."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def get_spec(self) -> tuple:
        """Return the types of the attributes."""
        return (("weights", float64[:]),)

    def params_to_dict(self) -> dict[str, np.ndarray]:
        """Return the attributes."""
        return {"weights": self.weights}

    def value(self, y: np.ndarray, _w: np.ndarray, Xw: np.ndarray) -> float:
        """Return the loss."""
        return np.sum(self.weights * np.log(1 + np.exp(-y * Xw)))

    def raw_grad(self, y: np.ndarray, Xw: np.ndarray) -> np.ndarray:
        """Return the gradient by the scores."""
        return -self.weights * y / (1 + np.exp(y * Xw))

    def raw_hessian(self, y: np.ndarray, Xw: np.ndarray) -> np.ndarray:
        """Return the second derivatives by the scores."""
        return self.weights / (2 + np.exp(y * Xw) + np.exp(-y * Xw))


def skglm_path(tolerance: float, layer: Layer) -> FittedPath:
    """Fit the path with skglm, warm starts included; the tolerance is that of the subgradient over the penalty."""
    coef, scores, path = np.zeros(layer.standardised.shape[1] + 1), np.zeros(len(layer.y)), []
    for C in layer.Cs:
        solver = ProxNewton(tol=tolerance, max_iter=100, fit_intercept=True)
        loss = WeightedLogistic(C * layer.weights)
        coef, _, _ = solver.solve(layer.standardised, layer.y, loss, L1(1.0), coef.copy(), scores)
        scores = layer.standardised @ coef[:-1] + coef[-1]
        path.append(coef)
    return path


def sklearn_path(settings: dict[str, Any], layer: Layer) -> FittedPath:
    """Fit the path with a solver of scikit-learn."""
    model = LogisticRegression(class_weight="balanced", l1_ratio=1.0, random_state=0, warm_start=True, **settings)
    path = []
    for C in layer.Cs:
        model.set_params(C=C).fit(layer.standardised, layer.y)
        path.append(np.append(model.coef_[0], model.intercept_))
    return path


def gaps(layer: Layer, path: FittedPath) -> list[float]:
    """Return the relative duality gap of every fit of a path."""
    gaps_of_fits = []
    for C, flat in zip(layer.Cs, path, strict=True):
        support = np.flatnonzero(flat[:-1])
        point = SparsePoint(support, flat[support], float(flat[-1]), np.inf, np.inf, 0)
        loss = LogisticLoss(layer.y, C * layer.weights)
        now = minimise(layer.columns, loss, Penalty(1.0, 0.0), point, tolerance=1e-15, max_steps=0)
        gaps_of_fits.append(now.gap)
    return gaps_of_fits


def compare(config: PathConfig) -> list[dict[str, object]]:
    """Time every contender; return the rows of the table."""
    layer = make_layer(config)
    solvers: dict[str, Callable[[Layer], FittedPath]] = {"ours": our_path}
    solvers |= {f"skglm, {tolerance:.0e}": partial(skglm_path, tolerance) for tolerance in (1e-2, 1e-4)}
    if config.liblinear:
        solvers["liblinear, 1e-06"] = partial(sklearn_path, {"solver": "liblinear", "tol": 1e-6, "max_iter": 1000})
    if config.saga:
        solvers["saga, 200 iterations"] = partial(sklearn_path, {"solver": "saga", "tol": 1e-8, "max_iter": 200})
    paths: dict[str, FittedPath] = {}
    with threadpool_limits(config.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is more precise
        first = time.perf_counter()
        skglm_path(1e-2, layer)
        print(f"skglm's first call takes {time.perf_counter() - first:.1f} s, compilation included.\n")
        times = alternate({name: partial(_keep, paths, name, s, layer) for name, s in solvers.items()}, config.repeats)
    return [_row(name, layer, paths[name], times["ours"], times[name]) for name in solvers]


def _keep(paths: dict[str, FittedPath], name: str, solver: Callable[[Layer], FittedPath], layer: Layer) -> None:
    paths[name] = solver(layer)


def _row(name: str, layer: Layer, path: FittedPath, ours: list[Seconds], theirs: list[Seconds]) -> dict[str, object]:
    n, d = layer.stored.shape
    gaps_of_fits = gaps(layer, path)
    return {
        "rows x neurons": f"{n:,} x {d:,}",
        "contender": name,
        "s": f"{median_seconds(theirs):.2f}",
        "CPU s": f"{median_seconds(theirs, 'cpu'):.2f}",
        "theirs / ours, CPU time": f"{median_ratio(theirs, ours, 'cpu'):.1f}",
        "neurons of the last probe": np.count_nonzero(path[-1][:-1]),
        "median gap": f"{np.median(gaps_of_fits):.1e}",
        "largest gap": f"{max(gaps_of_fits):.1e}",
    }


if __name__ == "__main__":
    print_table(compare(tyro.cli(PathConfig, description=__doc__)))
