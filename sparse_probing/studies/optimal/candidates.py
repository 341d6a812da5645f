"""The neurons among which an optimal support is sought, and the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparse_probing.config import ChosenRanking, ProbingConfig
from sparse_probing.probes.inputs.one_thread import one_thread
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.optimal.losses import LossName
from sparse_probing.probes.optimal.problem import (
    Scaling,
    SparseProblem,
    Support,
    class_weights,
    ridge_of,
    scaled_columns,
)
from sparse_probing.probes.optimal.result import Limits, OptimalFit
from sparse_probing.probes.optimal.solve import solve
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons
from sparse_probing.studies.base.interruption import interrupted, signals_noted
from sparse_probing.studies.regression import RANKING as REGRESSION_RANKING


def filter_ranking(config: ProbingConfig) -> tuple[ChosenRanking, ...]:
    """Return the ranking that filters the layer; none where the whole layer is searched."""
    return (config.search.heuristic_feature_selection_method,) if config.optimal.osp_heuristic_filter_size > 0 else ()


def regression_filter_ranking(config: ProbingConfig) -> tuple[ChosenRanking, ...]:
    """Return the same for features that are numbers, which have one ranking."""
    return (REGRESSION_RANKING,) if config.optimal.osp_heuristic_filter_size > 0 else ()


def candidates(config: ProbingConfig, data: FeatureData) -> Candidates:
    """Return the best-ranked neurons of ``--osp_heuristic_filter_size``, or all."""
    if config.optimal.osp_heuristic_filter_size <= 0:
        return Candidates(config, data, data.select())
    ranking = REGRESSION_RANKING if data.kind == "regression" else config.search.heuristic_feature_selection_method
    best = np.sort(data.top(ranking, config.optimal.osp_heuristic_filter_size))
    return Candidates(config, data, data.select(best), ranking)


PAPER_FILTER = 50
"""Number of candidates in the paper's studies."""


def filter_size(config: ProbingConfig) -> int:
    """Return the number of candidates of a study of the paper: ``--osp_heuristic_filter_size``, or the paper's 50."""
    return config.optimal.osp_heuristic_filter_size if config.optimal.osp_heuristic_filter_size > 0 else PAPER_FILTER


def best_ranked(
    config: ProbingConfig, data: FeatureData, ranking: str, without: Sequence[int] = (), at_least: int = 1
) -> Candidates:
    """Return the candidates of a study of the paper: the neurons that a ranking puts first.

    Parameters
    ----------
    config : ProbingConfig
    data : FeatureData
    ranking : str
        One that the study has asked for.
    without : sequence of int
        Neurons that are left out, and replaced by the next ones.
    at_least : int
        Smallest number of candidates.
    """
    size = max(filter_size(config), at_least)
    order = data.top(ranking, size + len(without))
    best = order[~np.isin(order, without)][:size]
    return Candidates(config, data, data.select(np.sort(best)), ranking)


@dataclass(frozen=True)
class Candidates:
    """Neurons of a feature's data, scaled once, for any number of searches."""

    config: ProbingConfig
    data: FeatureData
    neurons: SelectedNeurons
    ranking: str = ""
    """The ranking that chose them from the layer; empty when they are the whole layer."""

    @property
    def width(self) -> int:
        """Number of candidates."""
        return len(self.neurons.indices)

    @property
    def loss(self) -> LossName:
        """Loss of the probes."""
        return "squared" if self.data.kind == "regression" else self.config.optimal.osp_loss

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, Scaling]:
        return scaled_columns(self.neurons.x_train)

    @property
    def scaling(self) -> Scaling:
        """How neurons were scaled."""
        return self._scaled[1]

    @cached_property
    def _offset(self) -> float:
        """Mean of the targets, which a squared loss leaves to the intercept."""
        return float(self.neurons.y_train.mean()) if self.loss == "squared" else 0.0

    @property
    def n_train(self) -> int:
        """Training rows."""
        return len(self.neurons.y_train)

    def sparse_problem(self, multiplier: float, rows: Integers | None = None) -> SparseProblem:
        """Return the problem of all training rows, or of these, at a ridge of ``multiplier / sqrt(rows)``."""
        columns, y = self._scaled[0], self.neurons.y_train - self._offset
        if rows is not None:
            columns, y = np.ascontiguousarray(columns[:, rows]), y[rows]
        weight = np.ones(len(y)) if self.loss == "squared" else class_weights(y)
        return SparseProblem(columns, y, weight, ridge_of(len(y), multiplier), self.loss)

    def search(self, sparse: SparseProblem, k: int, starts: Sequence[Support] = (), record: bool = True) -> OptimalFit:
        """Search for the best k neurons; a signal ends the search, not the process.

        Without ``record``, no proof is kept and no near-optimal supports are listed.
        """
        optimal = self.config.optimal
        limits = Limits(optimal.osp_timeout, optimal.osp_gap, interrupted=interrupted)
        # One thread: the matrices of a node are small, and threads that wait for one another cost more than they save.
        with signals_noted(), one_thread():
            return solve(
                sparse,
                k,
                limits,
                optimal.osp_solver,
                starts,
                self.config.activations.seed,
                proof=optimal.proof and record,
                tolerance=optimal.osp_near_gap if record and optimal.osp_near_gap else None,
                verbose=optimal.gurobi_verbose,
            )

    def among(self, within: Integers) -> Candidates:
        """Return these of the candidates, by their position among them."""
        return Candidates(self.config, self.data, self.data.select(self.neurons.indices[within]), self.ranking)

    def stored(self, fit: OptimalFit) -> tuple[Floats, float]:
        """Return coefficients and intercept for the activations of ``neurons``."""
        return self.scaling.undo(np.array(fit.support), fit.coef, fit.intercept + self._offset)
