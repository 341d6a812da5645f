"""Experiment types: each is a named composition of basis, ranking, probe and sparsity levels."""

from sparse_probing.config import StudyName
from sparse_probing.studies import (
    all_neurons,
    dense,
    l1_path,
    multinomial,
    pruning,
    regression,
    selection,
    single_neurons,
    sweep,
    telescopic,
)
from sparse_probing.studies.base.study import WITHOUT_RANDOM_NEURONS, Study, no_ranking
from sparse_probing.studies.base.variants import neurons_and_rotations, rotations
from sparse_probing.studies.optimal import filtering as optimal_filtering
from sparse_probing.studies.optimal import pruning as optimal_pruning
from sparse_probing.studies.optimal import sweep as optimal_sweep
from sparse_probing.studies.optimal import tuning as optimal_tuning
from sparse_probing.studies.optimal.candidates import filter_ranking, regression_filter_ranking

STUDIES: dict[StudyName, Study] = {
    "dense_probe": Study(dense.fit, rankings=no_ranking, controls=WITHOUT_RANDOM_NEURONS, tunes=True),
    "enumerate_monosemantic": Study(single_neurons.fit),
    "all_neurons": Study(all_neurons.fit, rankings=no_ranking, controls=WITHOUT_RANDOM_NEURONS),
    "heuristic_sparsity_sweep": Study(sweep.fit, tunes=True),
    # The paper's fast sweep saved iterations; here all k together cost less than one did there.
    "fast_heuristic_sparsity_sweep": Study(sweep.fit, tunes=True),
    "telescopic_sparsity_sweep": Study(telescopic.fit, controls=WITHOUT_RANDOM_NEURONS),
    "tune_telescoping_sparsity_sweep": Study(telescopic.fit_tuned, controls=WITHOUT_RANDOM_NEURONS),
    "l1_path": Study(l1_path.fit, rankings=no_ranking, controls=WITHOUT_RANDOM_NEURONS),
    "iterative_pruning": Study(pruning.fit, controls=WITHOUT_RANDOM_NEURONS),
    "compare_feature_selection": Study(
        selection.fit, rankings=selection.all_rankings, controls=WITHOUT_RANDOM_NEURONS, tunes=True
    ),
    "multinomial_sweep": Study(multinomial.fit, kind="multiclass"),
    "dense_regression_probe": Study(
        regression.fit_dense, rankings=no_ranking, kind="regression", controls=WITHOUT_RANDOM_NEURONS
    ),
    "heuristic_sparse_regression_sweep": Study(
        regression.fit_sweep, rankings=regression.the_f_statistic, kind="regression"
    ),
    "lasso_path": Study(
        l1_path.fit_regression, rankings=no_ranking, kind="regression", controls=WITHOUT_RANDOM_NEURONS
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
    # Baselines: what directions that mean nothing can do.
    "rotation_baseline": Study(sweep.fit_random, rankings=sweep.random_ranking, variants=rotations, controls=()),
    "rotation_baseline_dxd": Study(telescopic.fit, variants=rotations, controls=()),
    "iterative_pruning_rotation_baseline_dxd": Study(single_neurons.fit, variants=neurons_and_rotations, controls=()),
}
"""Studies by the value of ``--experiment_type``."""

__all__ = ["STUDIES", "Study"]
