"""Rank the neurons of a layer for all features of a task at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparse_probing.probes.inputs.validation import Floats, LabelledRows, check_activations
from sparse_probing.probes.rankings import rank_layer
from sparse_probing.probes.rankings.regression_and_multiclass import (
    REGRESSION_RANKINGS,
    anova_f_statistic,
    best_one_against_rest,
)
from sparse_probing.studies.base.feature_data import FeatureData


def ranked(features: Sequence[FeatureData], rankings: Sequence[str]) -> list[FeatureData]:
    """Return the data of features of one layer with the scores of their neurons, each ranking in one pass.

    Parameters
    ----------
    features : sequence of FeatureData
        Of one kind, at one layer, in one variant. The ranking of a control replaces the others.
    rankings : sequence of str
        The rankings that the study needs.
    """
    if not features:
        return []
    override = features[0].variant.ranking
    tables = {name: _rank(name, features) for name in ([override] if override else rankings)}
    return [replace(data, scores={name: table[i] for name, table in tables.items()}) for i, data in enumerate(features)]


def _rank(ranking: str, features: Sequence[FeatureData]) -> Floats:
    """Return scores (features, width)."""
    # The mean difference of neurons that are each divided by their deviation is another one; no ranking depends
    # on a number that divides the whole layer.
    by_deviation = features[0].scaling in ("unit", "paper")
    name = "mean_dif_standardised" if ranking == "mean_dif" and by_deviation else ranking
    rngs = [data.rng("ranking") for data in features]
    if features[0].kind == "binary":
        rows = [LabelledRows(data.train.row, data.train.label) for data in features]
        return rank_layer(features[0].layer, rows, name, rngs)
    return np.stack([_rank_one(name, data, rng) for data, rng in zip(features, rngs, strict=True)])


def _rank_one(ranking: str, data: FeatureData, rng: np.random.Generator) -> Floats:
    """Return the scores (width,) of a feature of numbers or of several classes."""
    if ranking == "random":
        return rng.random(data.width)
    x, y = check_activations(data.layer[data.train.row]), data.train.label
    if data.kind == "regression":
        return REGRESSION_RANKINGS[ranking](x, y)
    return anova_f_statistic(x, y) if ranking == "f_stat" else best_one_against_rest(x, y, ranking, rng)
