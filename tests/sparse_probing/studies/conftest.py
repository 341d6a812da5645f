"""A small layer in which neuron 11 knows the label."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from probing_datasets.feature_dataset import FeatureKind
from sparse_probing.config import ProbingConfig
from sparse_probing.studies.base.prepare import ranked
from sparse_probing.studies.base.problem import Problem, Side
from sparse_probing.studies.base.study import Study

WIDTH, PLANTED, N_ROWS = 30, 11, 400


def side(rows: Sequence[int] | np.ndarray, label: np.ndarray) -> Side:
    rows = np.asarray(rows)
    return Side(rows, label[rows].astype(np.float64), rows, rows // 2)


@pytest.fixture
def config() -> ProbingConfig:
    return ProbingConfig.from_flags(
        n_neurons=7,
        max_k=16,
        regularization=0.5,
        iterative_pruning_n_prune_steps=4,
        osp_upto_k=2,
        osp_ridge_grid=(1.0, 3.0),
        tuning_folds=2,
    )


@pytest.fixture
def planted() -> Callable[..., Problem]:
    """A function that makes a problem: a third of 400 rows have the feature, 300 rows are for training."""

    def make(
        shift: float = 2.5,
        shuffle: bool = False,
        seed: int = 0,
        kind: FeatureKind = "binary",
        standardise: bool = False,
    ) -> Problem:
        rng = np.random.default_rng(seed)
        layer = rng.standard_normal((N_ROWS, WIDTH)).astype(np.float32)
        if kind == "binary":
            label = np.where(rng.random(N_ROWS) < 1 / 3, 1.0, -1.0)
            layer[:, PLANTED] += shift * (label > 0)
        elif kind == "multiclass":
            label = rng.integers(0, 3, N_ROWS).astype(np.float64)
            layer[:, PLANTED] += shift * label
        else:
            label = rng.standard_normal(N_ROWS)
            layer[:, PLANTED] += shift * label
        label = rng.permutation(label) if shuffle else label
        train, test = side(np.arange(300), label), side(np.arange(300, N_ROWS), label)
        return Problem("made", kind, np.asfortranarray(layer), train, test, standardise, (seed,))

    return make


@pytest.fixture
def fit() -> Callable[..., list]:
    """A function that ranks the neurons of a problem as a study asks, and fits the study."""

    def run(study: Study, config: ProbingConfig, problem: Problem) -> list:
        return study.fit(config, ranked(study, config, [problem])[0])

    return run
