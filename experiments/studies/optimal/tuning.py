"""How strong a ridge: several are compared on validation folds of the training rows."""

from __future__ import annotations

import numpy as np

from experiments.config import ProbingConfig
from experiments.interruption import interrupted
from experiments.probes.folds import grouped_folds
from experiments.probes.inputs import Floats
from experiments.probes.metrics import classification_metrics
from experiments.probes.splits import Split
from experiments.results import FittedProbe
from experiments.studies.optimal.candidates import Candidates, candidates
from experiments.studies.optimal.rows import probes_of
from experiments.studies.optimal.sweep import growing
from experiments.studies.problem import Problem

MEASURES = ("f1_score", "roc_auc")


def fit(config: ProbingConfig, problem: Problem) -> list[FittedProbe]:
    """Return the probes of every ridge and k; of each k, that of the best mean validation F1 is ``chosen``."""
    chosen = candidates(config, problem)
    folds = grouped_folds(chosen.data.y_train, problem.train.group, config.tuning_folds, config.seed)
    grid = sorted(config.osp_ridge_grid)
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
    table = np.zeros((min(chosen.config.osp_upto_k, chosen.width), len(MEASURES)))
    if interrupted():
        return table
    for found in growing(chosen, sparse, record=False):
        coef, intercept = chosen.stored(found)
        scores = x[:, np.array(found.support)] @ coef + intercept
        values = classification_metrics(y, scores[:, None], only=MEASURES)
        table[len(found.support) - 1] = [values[name][0] for name in MEASURES]
    return table
