"""From the rows of a store to the problems of a task: split, relabelled for controls, ranked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.controls import exchangeable_units, shuffled_labels
from sparse_probing.probes.rankings import rank_layer
from sparse_probing.probes.rankings.regression_and_multiclass import (
    REGRESSION_RANKINGS,
    anova_f_statistic,
    best_one_against_rest,
)
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import (
    Split,
    grouped_multiclass_split,
    grouped_split,
    grouped_stratified_split,
)
from sparse_probing.probes.validation import Floats, LabelledRows, check_activations
from sparse_probing.studies.base.problem import Problem, Side, random_numbers
from sparse_probing.studies.base.study import Study
from sparse_probing.studies.base.variants import Variant


@dataclass(frozen=True)
class Question:
    """A feature with one way of splitting its rows."""

    feature: str
    kind: FeatureKind
    rows: FeatureRows
    fold: int
    split: Split


def questions(config: ProbingConfig, feature: str, kind: FeatureKind, rows: FeatureRows) -> list[Question]:
    """Split the rows of a feature: once, or once for every test fold.

    Raises
    ------
    SplitError
        When whole groups cannot be split as asked.
    """
    if config.split.test_folds:
        classes = None if kind == "regression" else rows.label
        splits = grouped_folds(classes, rows.group, config.split.test_folds, config.activations.seed)
    else:
        splits = [_split(config, kind, rows)]
    return [Question(feature, kind, rows, fold, split) for fold, split in enumerate(splits)]


def _split(config: ProbingConfig, kind: FeatureKind, rows: FeatureRows) -> Split:
    if kind == "regression":
        return grouped_split(rows.group, config.split.test_set_frac, config.activations.seed)
    split = grouped_stratified_split if kind == "binary" else grouped_multiclass_split
    return split(rows.label, rows.group, config.split.test_set_frac, config.activations.seed)


def one_vs_rest(feature: str, rows: FeatureRows) -> dict[str, FeatureRows]:
    """Return one binary feature ``<feature>=<class>`` for each class of a multiclass feature."""
    return {
        f"{feature}={int(c)}": replace(rows, label=np.where(rows.label == c, 1.0, -1.0)) for c in np.unique(rows.label)
    }


def make_problem(
    config: ProbingConfig, question: Question, layer: NDArray, variant: Variant, number: int = 0
) -> Problem:
    """Return the problem of a question in one variant, not ranked yet; ``number`` is that of the layer.

    Every feature, layer, fold, trial and control has random numbers of its own, so that means
    over them average luck away.
    """
    seed = (
        config.activations.seed,
        number,
        question.fold,
        variant.trial,
        crc32(f"{question.feature}/{variant.control}".encode()),
    )
    rng = random_numbers(seed, "labels")
    train, test = (_side(question.rows, rows, variant, rng) for rows in (question.split.train, question.split.test))
    return Problem(
        feature=question.feature,
        kind=question.kind,
        layer=layer,
        train=train,
        test=test,
        standardise=config.fit.normalize_activations,
        seed=seed,
        ranking_override=variant.ranking or "",
    )


def _side(rows: FeatureRows, chosen: NDArray, variant: Variant, rng: np.random.Generator) -> Side:
    """Return one side; labels are shuffled within it, so that both sides keep all classes, however rare."""
    label, sequence, group = rows.label[chosen], rows.sequence[chosen], rows.group[chosen]
    if variant.shuffle_labels:
        label = shuffled_labels(label, exchangeable_units(label, sequence, group), rng)
    return Side(rows.row[chosen], label, sequence, group)


def ranked(study: Study, config: ProbingConfig, problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems of one layer with the rankings that the study needs, each in one pass over the layer."""
    if not problems:
        return []
    override = problems[0].ranking_override
    tables = {name: _rank(name, problems) for name in ([override] if override else study.rankings(config))}
    return [replace(p, scores={name: table[i] for name, table in tables.items()}) for i, p in enumerate(problems)]


def _rank(ranking: str, problems: Sequence[Problem]) -> Floats:
    """Return (problems, width) scores."""
    # Standardised neurons have another mean difference than raw ones; the other rankings do not depend on the scale.
    name = "mean_dif_standardised" if ranking == "mean_dif" and problems[0].standardise else ranking
    rngs = [problem.rng("ranking") for problem in problems]
    if problems[0].kind != "binary":
        return np.stack([_rank_other(name, p, rng) for p, rng in zip(problems, rngs, strict=True)])
    rows = [LabelledRows(p.train.row, p.train.label) for p in problems]
    return rank_layer(problems[0].layer, rows, name, rngs)


def _rank_other(ranking: str, problem: Problem, rng: np.random.Generator) -> Floats:
    """Return the scores (width,) of a feature of numbers or of several classes."""
    if ranking == "random":
        return rng.random(problem.width)
    x, y = check_activations(problem.layer[problem.train.row]), problem.train.label
    if problem.kind == "regression":
        return REGRESSION_RANKINGS[ranking](x, y)
    return anova_f_statistic(x, y) if ranking == "f_stat" else best_one_against_rest(x, y, ranking, rng)
