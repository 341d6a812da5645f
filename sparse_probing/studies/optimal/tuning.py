"""How strong a ridge: several are compared on validation folds of the training rows."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.interruption import interrupted
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.splits.grouped_folds import grouped_folds
from sparse_probing.probes.splits.grouped_split import Split
from sparse_probing.probes.validation import Floats
from sparse_probing.results import FittedProbe
from sparse_probing.studies.base.problem import Problem
from sparse_probing.studies.optimal.candidates import Candidates, candidates
from sparse_probing.studies.optimal.rows import probes_of
from sparse_probing.studies.optimal.sweep import growing

MEASURES = ("f1_score", "roc_auc")


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Return the probes of every ridge and k; of each k, that of the best mean validation F1 is ``chosen``."""
    chosen = candidates(config, problem)
    folds = grouped_folds(chosen.data.y_train, problem.train.group, config.split.tuning_folds, config.activations.seed)
    grid = sorted(config.optimal.osp_ridge_grid)
    validation = np.array([_validation(chosen, folds, multiplier) for multiplier in grid])
    best, complete = validation[:, :, 0].argmax(axis=0), not interrupted()
    probes = []
    for i, multiplier in enumerate(grid):
        for found in growing(chosen, chosen.sparse_problem(multiplier)):
            k = len(found.support)
            f1, area = validation[i, k - 1].tolist()
            further = {"validation_f1_score": f1, "validation_roc_auc": area, "chosen": bool(best[k - 1] == i)}
            probes += probes_of(chosen, found, multiplier, **(further if complete else {}))
        if interrupted():
            break
    return probes


def _validation(chosen: Candidates, folds: list[Split], multiplier: float) -> Floats:
    """Return (k, measures): means over the folds, for growing k."""
    return np.mean([_of_fold(chosen, fold, multiplier) for fold in folds], axis=0)


def _of_fold(chosen: Candidates, fold: Split, multiplier: float) -> Floats:
    sparse = chosen.sparse_problem(multiplier, fold.train)
    x, y = chosen.data.x_train[fold.test], chosen.data.y_train[fold.test]
    # After a signal the rest stays at its worst: nothing of it is reported.
    table = np.zeros((min(chosen.config.optimal.osp_upto_k, chosen.width), len(MEASURES)))
    if interrupted():
        return table
    for found in growing(chosen, sparse, record=False):
        coef, intercept = chosen.stored(found)
        scores = x[:, np.array(found.support)] @ coef + intercept
        values = classification_metrics(y, scores[:, None], only=MEASURES)
        table[len(found.support) - 1] = [values[name][0] for name in MEASURES]
    return table
