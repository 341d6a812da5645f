"""A study: a named composition of basis, ranking, probe and sparsity levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from probing_datasets.feature_dataset import FeatureKind
from sparse_probing.config import ControlName, ProbingConfig, RankingName
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.base.variants import Variant, the_chosen_basis

Fit = Callable[[ProbingConfig, Problem], list[FittedProbe]]


def the_chosen_ranking(config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the ranking of ``--heuristic_feature_selection_method``."""
    return (config.search.heuristic_feature_selection_method,)


def no_ranking(_config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return nothing: the study takes all neurons."""
    return ()


WITHOUT_RANDOM_NEURONS: tuple[ControlName, ...] = ("shuffled_labels", "rotation", "random_init")
"""Controls of a study that takes all neurons, or chooses among them again: random ones would change nothing."""


@dataclass(frozen=True)
class Study:
    """What the tasks of an experiment type do to every feature."""

    fit: Fit
    """Fits the probes of one problem."""
    rankings: Callable[[ProbingConfig], tuple[RankingName, ...]] = the_chosen_ranking
    """Rankings that it needs; they are computed for all features of a layer at once."""
    kind: FeatureKind = "binary"
    """Features it takes; a multiclass feature becomes one binary feature per class where it takes those."""
    variants: Callable[[ProbingConfig], tuple[Variant, ...]] = the_chosen_basis
    """Bases in which it fits."""
    controls: tuple[ControlName, ...] = get_args(ControlName)
    """Controls that mean something for it; none where it is a baseline itself."""
    tunes: bool = False
    """Whether it chooses C from ``--regularization_grid``."""
    slow: bool = False
    """Whether one feature can take minutes: what is done of a task is then kept feature by feature."""
