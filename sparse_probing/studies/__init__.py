"""Experiment types: each is a named composition of basis, ranking, probe and sparsity levels."""

from functools import partial

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.studies import (
    all_neurons,
    compare_rankings,
    dense,
    heuristic_sweep,
    l1_path,
    multinomial,
    pruning,
    regression,
    single_neurons,
    telescopic,
)
from sparse_probing.studies.base.study import NO_RANKING, WITHOUT_RANDOM_NEURONS, Study
from sparse_probing.studies.base.variants import neurons_and_rotations, rotations
from sparse_probing.studies.optimal import compare_ridges as optimal_tuning
from sparse_probing.studies.optimal import filter_loss as optimal_filtering
from sparse_probing.studies.optimal import pruning as optimal_pruning
from sparse_probing.studies.optimal import sweep as optimal_sweep
from sparse_probing.studies.optimal.candidates import filter_ranking, regression_filter_ranking

STUDIES: dict[StudyName, Study] = {
    "dense_probe": Study(dense.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS, tunes=True),
    "enumerate_monosemantic": Study(single_neurons.fit),
    "all_neurons": Study(all_neurons.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS),
    "heuristic_sparsity_sweep": Study(heuristic_sweep.fit, tunes=True),
    # The paper's fast sweep saved iterations; here all k together cost less than one did there.
    "fast_heuristic_sparsity_sweep": Study(heuristic_sweep.fit, tunes=True),
    "telescopic_sparsity_sweep": Study(telescopic.fit, controls=WITHOUT_RANDOM_NEURONS),
    "tune_telescoping_sparsity_sweep": Study(telescopic.fit_tuned, controls=WITHOUT_RANDOM_NEURONS),
    "l1_path": Study(l1_path.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS),
    "iterative_pruning": Study(pruning.fit, controls=WITHOUT_RANDOM_NEURONS),
    "compare_feature_selection": Study(
        compare_rankings.fit, rankings=compare_rankings.COMPARED, controls=WITHOUT_RANDOM_NEURONS, tunes=True
    ),
    "multinomial_sweep": Study(multinomial.fit, kind="multiclass", tunes=True),
    "dense_regression_probe": Study(
        regression.fit_dense, rankings=NO_RANKING, kind="regression", controls=WITHOUT_RANDOM_NEURONS, tunes=True
    ),
    "heuristic_sparse_regression_sweep": Study(
        regression.fit_sweep, rankings=(regression.RANKING,), kind="regression", tunes=True
    ),
    "lasso_path": Study(
        l1_path.fit_regression, rankings=NO_RANKING, kind="regression", controls=WITHOUT_RANDOM_NEURONS
    ),
    "optimal_sparse_probing": Study(
        optimal_sweep.fit, rankings=filter_ranking, controls=WITHOUT_RANDOM_NEURONS, slow=True
    ),
    "osp_tuning": Study(optimal_tuning.fit, rankings=filter_ranking, controls=WITHOUT_RANDOM_NEURONS, slow=True),
    "osp_iterative_pruning": Study(
        optimal_pruning.fit, rankings=filter_ranking, controls=WITHOUT_RANDOM_NEURONS, slow=True
    ),
    "test_osp_heuristic_filtering": Study(optimal_filtering.fit, controls=WITHOUT_RANDOM_NEURONS, slow=True),
    "optimal_sparse_regression": Study(
        optimal_sweep.fit,
        rankings=regression_filter_ranking,
        kind="regression",
        controls=WITHOUT_RANDOM_NEURONS,
        slow=True,
    ),
    # Baselines: what directions without a meaning can do. Random neurons of a rotated layer are a random subspace.
    "rotation_baseline": Study(
        partial(heuristic_sweep.fit, ranking="random"), rankings=("random",), bases=rotations, controls=(), tunes=True
    ),
    "rotation_baseline_dxd": Study(telescopic.fit, bases=rotations, controls=()),
    "iterative_pruning_rotation_baseline_dxd": Study(single_neurons.fit, bases=neurons_and_rotations, controls=()),
}
"""Studies by the value of ``--experiment_type``."""


def check_studies(config: ProbingConfig) -> None:
    """Raise SettingsError when a study would ignore ``--regularization_grid``."""
    without_choice = [study for study in config.experiment_type if not STUDIES[study].tunes]
    if config.fit.regularization_grid and without_choice:
        raise SettingsError(
            f"{', '.join(without_choice)} cannot choose from --regularization_grid; set --regularization."
        )


__all__ = ["STUDIES", "Study", "check_studies"]
