"""What a study is given: one feature at one layer, split into training and test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from sparse_probing.probes.rankings import top_neurons
from sparse_probing.probes.scaling import Standardiser
from sparse_probing.probes.validation import Floats, Integers
from sparse_probing.results import FittedProbe

MetricTable = dict[str, NDArray]
Metrics = Callable[[NDArray, NDArray], MetricTable]
"""From labels (n,) and decision values (n, m) to the metrics of m probes, each (m,)."""


def random_numbers(seed: tuple[int, ...], *purposes: str) -> np.random.Generator:
    """Return random numbers that another seed or purpose does not share."""
    return np.random.default_rng([*seed, *(crc32(purpose.encode()) for purpose in purposes)])


class LinearProbe(Protocol):
    """What every fit of one linear function says of itself."""

    @property
    def coef(self) -> Floats:
        """(k,)."""
        ...

    @property
    def intercept(self) -> float:
        """Not penalised."""
        ...

    @property
    def objective(self) -> float:
        """Reached."""
        ...

    @property
    def iterations(self) -> int:
        """Steps of the solver."""
        ...

    @property
    def converged(self) -> bool:
        """Whether the objective is near enough to its optimum."""
        ...

    @property
    def status(self) -> str:
        """How the fit ended, in a sentence."""
        ...


@dataclass(frozen=True)
class Side:
    """Training or test rows of a problem."""

    row: Integers
    """(n,) rows of the layer, increasing."""
    label: Floats
    """(n,) -1/+1 (binary), class numbers (multiclass) or real numbers (regression)."""
    sequence: Integers
    """(n,) sequence of each row."""
    group: Integers
    """(n,) group of each row."""


@dataclass(frozen=True)
class Problem:
    """One feature, or a control of it, at one layer.

    The layer is shared by all problems of a task; a problem copies the neurons it needs,
    on the rows it needs.
    """

    feature: str
    kind: FeatureKind
    layer: NDArray
    """(N, width) activations in the precision they are stored in."""
    train: Side
    test: Side
    standardise: bool = False
    """Whether probes are fitted to neurons of mean 0 and deviation 1 on the training rows."""
    seed: tuple[int, ...] = (0,)
    """Entropy of the random choices."""
    scores: Mapping[str, Floats] = field(default_factory=dict)
    """(width,) score of every neuron, by ranking; learned on the training rows."""
    ranking_override: str = ""
    """The ranking that a control puts in place of every other."""

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.layer.shape[1]

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random numbers of this problem for a purpose, from their beginning."""
        return random_numbers(self.seed, purpose)

    def top(self, ranking: str, k: int) -> Integers:
        """Return the ``k`` best neurons by a ranking (all of them when there are fewer), best first."""
        return top_neurons(self.scores[self.ranking_override or ranking], min(k, self.width))

    def columns(self, neurons: Integers | None = None) -> Columns:
        """Return some neurons, in this order, or all of them, on the rows of the problem."""
        chosen = np.arange(self.width) if neurons is None else np.asarray(neurons)
        values = self.layer if neurons is None else self.layer[:, chosen]
        x_train, x_test = values[self.train.row], values[self.test.row]
        scale = Standardiser.of(x_train) if self.standardise else None
        if scale is not None:
            x_train, x_test = scale.apply(x_train), scale.apply(x_test)
        return Columns(chosen, x_train, self.train.label, x_test, self.test.label, scale)


@dataclass(frozen=True)
class Columns:
    """Some neurons of a problem, as probes are fitted to them."""

    neurons: Integers
    """(p,)"""
    x_train: NDArray
    """(n_train, p)"""
    y_train: Floats
    """(n_train,)"""
    x_test: NDArray
    """(n_test, p)"""
    y_test: Floats
    """(n_test,)"""
    scale: Standardiser | None = None

    def metrics(
        self, score: Callable[[NDArray], Floats], measure: Metrics, measure_train: Metrics | None = None
    ) -> list[dict[str, float]]:
        """Return the ``train_`` and ``test_`` metrics of m probes.

        Parameters
        ----------
        score : callable
            From activations (n, p) to the decision values (n, m) of the probes.
        measure : callable
            From labels and decision values to metrics.
        measure_train : callable, optional
            The same for training rows, where less is wanted of them.
        """
        train = (measure_train or measure)(self.y_train, score(self.x_train))
        test = measure(self.y_test, score(self.x_test))
        table = {f"train_{name}": v for name, v in train.items()} | {f"test_{name}": v for name, v in test.items()}
        return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]

    def probe(
        self,
        name: str,
        within: Any,
        fit: LinearProbe,
        metrics: Mapping[str, float],
        ranking: str = "",
        rank: int = 0,
        **further: Any,
    ) -> FittedProbe:
        """Return a fitted probe, its coefficients brought back to the scale on which activations are stored.

        Parameters
        ----------
        name : str
            Kind of probe.
        within : (k,) indices or slice
            The columns of the probe among these.
        fit : LinearProbe
            What was fitted to them.
        metrics : mapping
            ``train_`` and ``test_`` metrics.
        ranking, rank
            As in :class:`FittedProbe`.
        **further
            Columns that only some studies fill.
        """
        coef, intercept = fit.coef, fit.intercept
        if self.scale is not None:
            coef, intercept = self.scale.undo(np.arange(len(self.neurons))[within], coef, intercept)
        return FittedProbe(
            probe=name,
            support=self.neurons[within],
            coef=coef,
            intercept=float(intercept),
            objective=float(fit.objective),
            iterations=int(fit.iterations),
            converged=bool(fit.converged),
            status=fit.status,
            ranking=ranking,
            rank=rank,
            metrics=metrics,
            further=further,
        )
