"""Experiment types: each is a named composition of basis, ranking, probe and sparsity levels."""

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig, RankingName, StudyName
from sparse_probing.studies import (
    all_neurons,
    compare_rankings,
    dense,
    heuristic_sweep,
    l1_path,
    multinomial,
    pruning,
    random_directions,
    regression,
    single_neurons,
    telescopic,
)
from sparse_probing.studies.base.study import NO_RANKING, WITHOUT_RANDOM_NEURONS, Study
from sparse_probing.studies.base.variants import only_neurons, projections
from sparse_probing.studies.optimal import compare_ridges as optimal_ridge_choice
from sparse_probing.studies.optimal import filter_loss as optimal_filter_sizes
from sparse_probing.studies.optimal import papers_filtering, papers_pruning, papers_tuning
from sparse_probing.studies.optimal import pruning as optimal_pruning
from sparse_probing.studies.optimal import sweep as optimal_sweep
from sparse_probing.studies.optimal.candidates import filter_ranking, regression_filter_ranking
from sparse_probing.studies.reading import reading_probes
from sparse_probing.studies.telescopic import ranking_in_paper_units

PAPER: RankingName = "mean_dif"
"""The default ranking of the paper's code, in studies with the names of its experiment types."""

STUDIES: dict[StudyName, Study] = {
    "dense_probe": Study(dense.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS, tunes=True),
    "enumerate_monosemantic": Study(single_neurons.fit, default_ranking=PAPER),
    "all_neurons": Study(all_neurons.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS),
    "heuristic_sparsity_sweep": Study(heuristic_sweep.fit, tunes=True, default_ranking=PAPER),
    # The paper's fast sweep saved iterations; here all k together cost less than one did there.
    "fast_heuristic_sparsity_sweep": Study(heuristic_sweep.fit, tunes=True, default_ranking=PAPER),
    "telescopic_sparsity_sweep": Study(
        telescopic.fit, rankings=ranking_in_paper_units, controls=WITHOUT_RANDOM_NEURONS, default_ranking=PAPER
    ),
    "tune_telescoping_sparsity_sweep": Study(
        telescopic.fit_grid, rankings=ranking_in_paper_units, controls=WITHOUT_RANDOM_NEURONS, default_ranking=PAPER
    ),
    "telescopic_choose_penalty": Study(
        telescopic.fit_chosen, rankings=ranking_in_paper_units, controls=WITHOUT_RANDOM_NEURONS
    ),
    "l1_path": Study(l1_path.fit, rankings=NO_RANKING, controls=WITHOUT_RANDOM_NEURONS),
    "iterative_pruning": Study(pruning.fit, controls=WITHOUT_RANDOM_NEURONS),
    "compare_feature_selection": Study(
        compare_rankings.fit_filtered, rankings=(PAPER,), controls=WITHOUT_RANDOM_NEURONS, tunes=True
    ),
    "compare_rankings": Study(
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
        optimal_sweep.fit,
        rankings=filter_ranking,
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=optimal_sweep.n_searches,
        default_ranking=PAPER,
    ),
    "osp_choose_ridge": Study(
        optimal_ridge_choice.fit,
        rankings=filter_ranking,
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=optimal_ridge_choice.n_searches,
    ),
    "osp_prune_layer": Study(
        optimal_pruning.fit,
        rankings=filter_ranking,
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=optimal_pruning.n_searches,
    ),
    "osp_filter_sizes": Study(
        optimal_filter_sizes.fit, controls=WITHOUT_RANDOM_NEURONS, n_searches=optimal_filter_sizes.n_searches
    ),
    # What these names mean in the paper's code.
    "osp_tuning": Study(
        papers_tuning.fit,
        rankings=(papers_tuning.RANKING,),
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=papers_tuning.n_searches,
    ),
    "osp_iterative_pruning": Study(
        papers_pruning.fit,
        rankings=(papers_pruning.RANKING,),
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=papers_pruning.n_searches,
    ),
    "test_osp_heuristic_filtering": Study(
        papers_filtering.fit,
        rankings=NO_RANKING,
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=papers_filtering.n_searches,
    ),
    "optimal_sparse_regression": Study(
        optimal_sweep.fit,
        rankings=regression_filter_ranking,
        kind="regression",
        controls=WITHOUT_RANDOM_NEURONS,
        n_searches=optimal_sweep.n_searches,
    ),
    "reading_probes": Study(
        reading_probes.fit,
        rankings=NO_RANKING,
        controls=("shuffled_labels", "random_init"),
        tunes=True,
        default_scaling=reading_probes.default_scaling,
        takes_classes=True,
    ),
    # The paper's baselines: what directions without a meaning can do.
    "rotation_baseline": Study(random_directions.fit_subspaces, rankings=NO_RANKING, bases=only_neurons, controls=()),
    "rotation_baseline_dxd": Study(
        telescopic.fit,
        rankings=ranking_in_paper_units,
        bases=projections,
        controls=(),
        default_ranking=PAPER,
    ),
    "iterative_pruning_rotation_baseline_dxd": Study(
        random_directions.fit_single_directions, bases=only_neurons, controls=(), default_ranking=PAPER
    ),
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
