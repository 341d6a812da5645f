"""Settings for studies of the small planted layer."""

import pytest

from sparse_probing.config import ProbingConfig


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
