"""Fit a study to all features of a layer; a feature that cannot be probed does not stop the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from probing_datasets.foundation.errors import DatasetError, ProbeError, SplitError
from sparse_probing.config import ProbingConfig
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.prepare import Question, make_problem, one_vs_rest, questions, ranked
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.base.study import Study
from sparse_probing.studies.base.variants import Variant

PROBLEMS_OF_A_FEATURE = (SplitError, ProbeError, DatasetError, np.linalg.LinAlgError)


@dataclass(frozen=True)
class Fitted:
    """A probe with the problem it solves."""

    probe: FittedProbe
    problem: Problem
    fold: int


@dataclass
class Fittings:
    """What was fitted, and the features that could not be, each with the reason."""

    done: list[Fitted] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def ask(
    config: ProbingConfig, study: Study, features: Mapping[str, tuple[FeatureKind, FeatureRows]], failed: dict[str, str]
) -> list[Question]:
    """Split the rows of every feature; those that cannot be split are added to ``failed``."""
    asked: list[Question] = []
    for feature, (kind, rows) in features.items():
        parts = one_vs_rest(feature, rows) if (kind, study.kind) == ("multiclass", "binary") else {feature: rows}
        for name, own in parts.items():
            try:
                asked += questions(config, name, study.kind, own)
            except SplitError as error:
                failed[name] = str(error)
    return asked


def fit_variant(
    config: ProbingConfig, study: Study, asked: Sequence[Question], layer: NDArray, variant: Variant, number: int = 0
) -> Fittings:
    """Fit the study to every question in one variant of the layer with this number."""
    fittings = Fittings()
    problems = [make_problem(config, question, layer, variant, number) for question in asked]
    try:
        problems = ranked(study, config, problems)
    except PROBLEMS_OF_A_FEATURE:
        study = replace(study, fit=partial(_rank_and_fit, study))  # so that the one at fault fails alone
    for question, problem in zip(asked, problems, strict=True):
        try:
            fittings.done += [Fitted(probe, problem, question.fold) for probe in study.fit(config, problem)]
        except PROBLEMS_OF_A_FEATURE as error:
            where = f"{variant.control or variant.basis}, fold {question.fold}: {error}"
            earlier = fittings.failed.get(question.feature)
            fittings.failed[question.feature] = f"{earlier}; {where}" if earlier else where
    return fittings


def _rank_and_fit(study: Study, config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Rank one problem on a copy of its own rows, so that no other row can be at fault, and fit it."""
    train, n_train = problem.train, len(problem.train.row)
    rows = np.concatenate([train.row, problem.test.row])
    alone = replace(
        problem,
        layer=problem.layer[rows],
        train=replace(train, row=np.arange(n_train)),
        test=replace(problem.test, row=np.arange(n_train, len(rows))),
    )
    return study.fit(config, ranked(study, config, [alone])[0])
