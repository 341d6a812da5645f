"""Compare ridges of several strengths on validation folds of the training rows."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.interruption import interrupted
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import Candidates, candidates
from sparse_probing.studies.optimal.optimal_probes import probes_of
from sparse_probing.studies.optimal.sweep import growing

MEASURES = ("f1_score", "roc_auc")


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature: every ridge on every fold, and on all rows."""
    return config.optimal.osp_upto_k * len(config.optimal.osp_ridge_grid) * (config.split.tuning_folds + 1)


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Return the probes of every ridge and k; of each k, the one with the best mean validation F1 is ``chosen``."""
    searched = candidates(config, data)
    folds = grouped_folds(
        searched.neurons.y_train, data.train.group, config.split.tuning_folds, config.activations.seed
    )
    grid = sorted(config.optimal.osp_ridge_grid)
    # (ridges, k, measures): means over the folds.
    validation = np.array([np.mean([_validate(searched, fold, m) for fold in folds], axis=0) for m in grid])
    best, complete = validation[:, :, 0].argmax(axis=0), not interrupted()
    probes = []
    for i, multiplier in enumerate(grid):
        for optimum in growing(searched, searched.sparse_problem(multiplier)):
            further = {}
            if complete:
                k = len(optimum.support)
                f1, area = validation[i, k - 1].tolist()
                further = {"validation_f1_score": f1, "validation_roc_auc": area, "chosen": bool(best[k - 1] == i)}
            probes += probes_of(searched, optimum, multiplier, **further)
        if interrupted():
            break
    return probes


def _validate(searched: Candidates, fold: Split, multiplier: float) -> Floats:
    """Return the measures (k, measures) of a fold for growing k; after a signal the rest is 0, and is not reported."""
    table = np.zeros((min(searched.config.optimal.osp_upto_k, searched.width), len(MEASURES)))
    if interrupted():
        return table
    x, y = searched.neurons.x_train[fold.test], searched.neurons.y_train[fold.test]
    for optimum in growing(searched, searched.sparse_problem(multiplier, fold.train), record=False):
        coef, intercept = searched.stored(optimum)
        scores = x[:, np.array(optimum.support)] @ coef + intercept
        values = classification_metrics(y, scores[:, None], only=MEASURES)
        table[len(optimum.support) - 1] = [values[name][0] for name in MEASURES]
    return table
