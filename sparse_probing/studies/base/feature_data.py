"""The data that a study gets: one feature at one layer, divided into training and test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from sparse_probing.probes.inputs.scaling import Scaling, Standardiser, root_mean_square
from sparse_probing.probes.inputs.validation import Floats, Integers, LabelledRows
from sparse_probing.probes.l2.logistic import LogisticFit
from sparse_probing.probes.rankings.class_means import standardised_mean_difference
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.variants import NEURONS, Variant

MetricTable = dict[str, NDArray]
Metrics = Callable[[NDArray, NDArray], MetricTable]
"""From labels (n,) and decision values (n, m) to the metrics of m probes, each (m,)."""


def random_numbers(seed: tuple[int, ...], *purposes: str) -> np.random.Generator:
    """Return a generator of random numbers that no other seed or purpose shares."""
    return np.random.default_rng([*seed, *(crc32(purpose.encode()) for purpose in purposes)])


class LinearProbe(Protocol):
    """What every fit of one linear function reports."""

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
        """Value at the solution."""
        ...

    @property
    def iterations(self) -> int:
        """Steps of the solver."""
        ...

    @property
    def converged(self) -> bool:
        """Whether the objective is close enough to its optimum."""
        ...

    @property
    def status(self) -> str:
        """How the fit ended, in a sentence."""
        ...


@dataclass(frozen=True)
class SplitRows:
    """The training rows, or the test rows, of a feature."""

    row: Integers
    """(n,) rows of the layer, increasing."""
    label: Floats
    """(n,) -1/+1 (binary), class numbers (multiclass) or real numbers (regression)."""
    sequence: Integers
    """(n,) sequence of each row."""
    group: Integers
    """(n,) group of each row."""


@dataclass(frozen=True)
class FeatureData:
    """Data of one feature, or of a control of it, at one layer.

    All features of a task share the layer. A feature copies only the neurons and rows that it needs.
    """

    feature: str
    kind: FeatureKind
    layer: NDArray
    """(N, width) activations in the precision in which they are stored."""
    train: SplitRows
    test: SplitRows
    scaling: Scaling = "rms"
    """How neurons are scaled, by the training rows, before probes are fitted to them."""
    seed: tuple[int, ...] = (0,)
    """Entropy of the random choices."""
    fold: int = 0
    """Number of the fold that the test rows are."""
    variant: Variant = NEURONS
    """The basis of the layer, or the control."""
    scores: Mapping[str, Floats] = field(default_factory=dict)
    """(width,) score of every neuron, by ranking; learned on the training rows."""
    classes: tuple[str, ...] = ()
    """Names of the classes of a multiclass feature, if they have names: class 0 first."""

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.layer.shape[1]

    @cached_property
    def rms(self) -> float:
        """Root mean square of the whole layer on the training rows."""
        return root_mean_square(self.layer, self.train.row)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random numbers of this feature for a purpose; every call starts the same sequence."""
        return random_numbers(self.seed, purpose)

    def top(self, ranking: str, k: int) -> Integers:
        """Return the ``k`` best neurons by a ranking (all of them when there are fewer), best first."""
        return top_neurons(self.scores[self.variant.ranking or ranking], min(k, self.width))

    def select(self, neurons: Integers | None = None) -> SelectedNeurons:
        """Return these neurons, in this order, or all neurons, on the training and test rows."""
        indices = np.arange(self.width) if neurons is None else np.asarray(neurons)
        values = self.layer if neurons is None else self.layer[:, indices]
        x_train, x_test = values[self.train.row], values[self.test.row]
        scale = Standardiser.of(x_train, self.scaling, self.rms if self.scaling == "rms" else None)
        if scale is not None:
            x_train, x_test = scale.apply(x_train), scale.apply(x_test)
        return SelectedNeurons(indices, x_train, self.train.label, x_test, self.test.label, scale)


@dataclass(frozen=True)
class SelectedNeurons:
    """Neurons of one feature's data, scaled as probes are fitted to them."""

    indices: Integers
    """(p,) their numbers in the layer."""
    x_train: NDArray
    """(n_train, p)"""
    y_train: Floats
    """(n_train,)"""
    x_test: NDArray
    """(n_test, p)"""
    y_test: Floats
    """(n_test,)"""
    scale: Standardiser | None = None
    """How the stored activations were scaled; None when they were not."""

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
            The same for training rows, where fewer metrics are needed.
        """
        train = (measure_train or measure)(self.y_train, score(self.x_train))
        test = measure(self.y_test, score(self.x_test))
        table = {f"train_{name}": v for name, v in train.items()} | {f"test_{name}": v for name, v in test.items()}
        return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]

    def mean_differences(self, within: Any = slice(None)) -> Floats:
        """Return how far the class means of neurons (p,) are apart on the training rows, in standard deviations."""
        rows = LabelledRows(np.arange(len(self.y_train)), self.y_train)
        return standardised_mean_difference(self.x_train[:, within], [rows], ())[0]

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
        """Return a fitted probe with its coefficients on the scale of the stored activations.

        Parameters
        ----------
        name : str
            Kind of probe.
        within : (k,) indices or slice
            Positions of the probe's neurons among these.
        fit : LinearProbe
            The fit to them.
        metrics : mapping
            ``train_`` and ``test_`` metrics.
        ranking, rank
            As in :class:`FittedProbe`.
        **further
            Columns that only some studies fill.
        """
        coef, intercept = fit.coef, fit.intercept
        if self.scale is not None:
            coef, intercept = self.scale.undo(np.arange(len(self.indices))[within], coef, intercept)
        return FittedProbe(
            probe=name,
            support=self.indices[within],
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

    def logistic_probe(
        self, within: Any, fit: LogisticFit, metrics: Mapping[str, float], ranking: str = "", **further: Any
    ) -> FittedProbe:
        """Return the probe of a logistic fit; the arguments are those of :meth:`probe`.

        A probe of one ranked neuron is the first of its ranking.
        """
        if len(fit.coef) == 1:
            further["train_mean_difference"] = float(self.mean_differences(within)[0])
        rank = 1 if ranking and len(fit.coef) == 1 else 0
        return self.probe("logistic", within, fit, metrics, ranking, rank, newton_decrement=fit.decrement, **further)
