"""Settings of stage 2."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.setting_values import check_whole_numbers
from sparse_probing.config.activations import ActivationsConfig, shorten_hook_names
from sparse_probing.config.execution import ExecutionConfig, HarvestFirstConfig, SlurmConfig
from sparse_probing.config.optimal import OptimalConfig
from sparse_probing.config.reading import ReadingConfig
from sparse_probing.config.result_folders import store_folder
from sparse_probing.config.sections import FOLDERS, Configuration, at_least_one
from sparse_probing.config.share import ShareConfig

if TYPE_CHECKING:
    from upath import UPath

StudyName = Literal[
    "dense_probe",
    "enumerate_monosemantic",
    "all_neurons",
    "heuristic_sparsity_sweep",
    "fast_heuristic_sparsity_sweep",
    "telescopic_sparsity_sweep",
    "tune_telescoping_sparsity_sweep",
    "telescopic_choose_penalty",
    "l1_path",
    "iterative_pruning",
    "rotation_baseline",
    "rotation_baseline_dxd",
    "iterative_pruning_rotation_baseline_dxd",
    "compare_feature_selection",
    "compare_rankings",
    "multinomial_sweep",
    "dense_regression_probe",
    "heuristic_sparse_regression_sweep",
    "lasso_path",
    "optimal_sparse_probing",
    "osp_tuning",
    "osp_iterative_pruning",
    "test_osp_heuristic_filtering",
    "optimal_sparse_regression",
    "osp_choose_ridge",
    "osp_prune_layer",
    "osp_filter_sizes",
    "reading_probes",
]
RankingName = Literal["mean_dif", "mean_dif_standardised", "f_stat", "mi", "auc", "lr", "svm", "random"]
ChosenRanking = Literal["auto", RankingName]
ControlName = Literal["shuffled_labels", "random_neurons", "rotation", "random_init"]
ScalingName = Literal["rms", "unit", "paper", "none"]
BasisName = Literal["neurons", "rotation", "projection"]

SMALL_KS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)
"""The first values of k of a sweep in Gurnee et al. (2023); they continue with 16, 32, 64, ..."""


@dataclass(frozen=True)
class SplitConfig:
    """Training, validation and test rows; groups stay whole."""

    test_set_frac: float = 0.3
    """Fraction of rows held out for testing, in whole groups."""
    test_folds: int = 0
    """Cross-validate with this number of folds: each is the test set once. 0: one test set."""
    tuning_folds: int = 5
    """Validation folds of the training rows, on which C, the ridge of osp_choose_ridge and the point of an L1 path are
    chosen; of C and of paths fewer where a class has fewer groups."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        if not 0 < self.test_set_frac < 1:
            raise SettingsError(f"--test_set_frac must be between 0 and 1, not {self.test_set_frac}.")
        if self.test_folds == 1 or self.test_folds < 0 or self.tuning_folds < 2:
            raise SettingsError("--test_folds must be 0 or at least 2, and --tuning_folds at least 2.")


@dataclass(frozen=True)
class FitConfig:
    """How a probe is fitted."""

    scaling: ScalingName | None = None
    """How neurons are scaled by the training rows before a fit; coefficients in the rows are for stored activations.
    rms (the default): the layer divided by one number, its root mean square around the means; unit (the default of
    reading_probes): each neuron to mean 0 and deviation 1; paper: each neuron divided by ten times its deviation; none
    (that of reading_probes with --solver adam)."""
    normalize_activations: bool = False
    """The flag of the paper's code: --scaling paper."""
    regularization: float | None = None
    """C of the logistic objective C * weighted loss + |coef|^2 / 2; 1 / alpha in regression. None: chosen from a grid
    on validation folds of the training rows, and 1 in studies that do not choose."""
    regularization_grid: tuple[float, ...] = ()
    """Values from which C is chosen; none given: 13 from 1e-4 to 100, in regression 21 from 1e-7 to 1000."""
    l1_ratio: float = 1.0
    """Share of the penalty of an L1 path that is |coef|; the rest is coef^2 / 2."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range, and for settings that contradict one another."""
        if not 0 < self.l1_ratio <= 1:
            raise SettingsError(f"--l1_ratio must be above 0 and at most 1, not {self.l1_ratio}.")
        given = () if self.regularization is None else (self.regularization,)
        for value in (*given, *self.regularization_grid):
            if not 0 < value < math.inf:
                raise SettingsError(f"--regularization must be positive and finite, not {value}.")
        if given and self.regularization_grid:
            raise SettingsError(
                "--regularization is one value and --regularization_grid several to choose from. Pass one of them."
            )
        if self.normalize_activations and self.scaling not in (None, "paper"):
            raise SettingsError(
                f"--normalize_activations means --scaling paper, and --scaling is {self.scaling}. Pass one of them."
            )

    @property
    def scaling_of_neurons(self) -> ScalingName:
        """The scaling, where ``scaling`` and ``normalize_activations`` are read together."""
        return self.scaling or ("paper" if self.normalize_activations else "rms")

    @property
    def C(self) -> float:
        """C of a study that does not choose it."""
        return 1.0 if self.regularization is None else self.regularization


@dataclass(frozen=True)
class SearchConfig:
    """Which neurons, and how many, get a probe."""

    heuristic_feature_selection_method: ChosenRanking = "auto"
    """How neurons are ranked before probes are fitted; auto: mean_dif in experiment types of the paper's code, auc in
    all others."""
    basis: BasisName = "neurons"
    """Directions that are probed: neurons, a random rotation, or random projections of the layer."""
    ks: tuple[int, ...] = ()
    """Numbers of neurons in the probes of a sweep; none given: 1 to 8, 10, 12, 16, 32, 64, ... up to --max_k."""
    max_k: int = 256
    """Largest number of neurons in a probe of a sparsity sweep."""
    n_neurons: int = 30
    """Best-ranked neurons that each get their own probe (enumerate_monosemantic)."""
    iterative_pruning_fixed_k: int = 5
    """Neurons of each probe (iterative_pruning, osp_iterative_pruning, osp_prune_layer)."""
    iterative_pruning_n_prune_steps: int = 10
    """Number of times that the best neuron is removed (iterative_pruning, osp_iterative_pruning, osp_prune_layer)."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "max_k", "n_neurons", "iterative_pruning_fixed_k", "iterative_pruning_n_prune_steps")
        if any(k < 1 for k in self.ks):
            raise SettingsError(f"Every value of --ks must be at least 1, not {min(self.ks)}.")

    def sparsity_levels(self, width: int) -> list[int]:
        """Return the numbers of neurons of a sweep: ``ks``, or those of Gurnee et al. (2023) up to ``max_k`` and width.

        Examples
        --------
        >>> SearchConfig(max_k=50).sparsity_levels(512)
        [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32]
        """
        if self.ks:
            return sorted({min(k, width) for k in self.ks})  # a projected layer can be narrower than the stored one
        doubled = [16 << i for i in range(width.bit_length())]
        return sorted({k for k in (*SMALL_KS, *doubled, width) if k <= min(self.max_k, width)})


@dataclass(frozen=True)
class StatisticsConfig:
    """Controls, tests and intervals beside every score."""

    controls: tuple[ControlName, ...] = ("shuffled_labels",)
    """Controls fitted beside every probe; random_init reads the store of the randomly initialised model."""
    n_trials: int = 5
    """Random products of the layer in rotation_baseline_dxd and iterative_pruning_rotation_baseline_dxd."""
    n_permutations: int = 999
    """Permutations of the maximum-statistic test for the best of all neurons (all_neurons); 0: no test."""
    confidence: float = 0.95
    """Level of the confidence intervals of held-out scores: ROC-AUC of binary probes, F1 of optimal ones."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "n_trials")
        if len(set(self.controls)) < len(self.controls):
            raise SettingsError("Name each of --controls once.")
        if self.n_permutations < 0:
            raise SettingsError(f"--n_permutations must be at least 0, not {self.n_permutations}.")
        if not 0 < self.confidence < 1:
            raise SettingsError(f"--confidence must be between 0 and 1, not {self.confidence}.")


@dataclass(frozen=True)
class ProbingConfig(Configuration):
    """Stage 2: fit sparse probes to stored activations and rank neurons."""

    experiment_name: str = "default"
    """Folder of the results below RESULTS_DIR/probing."""
    experiment_type: tuple[StudyName, ...] = ("heuristic_sparsity_sweep",)
    """The studies."""
    layers: tuple[int, ...] = ()
    """Layers to probe; none given: all in the store."""
    feature_subset: tuple[str, ...] = ()
    """Features to probe, or classes of one, as Gender=Fem, also as a list with commas; for ewt also upos, dep, morph,
    not-dep; none given: all features."""
    save_features_together: bool = False
    """One task for all features of a layer, instead of one task for each group of --features_per_task."""
    features_per_task: int = 10
    dry_run: bool = False
    """Print the tasks, how long they may take and the batch script, without running or submitting anything."""
    batch_size: int | None = None
    """Has no effect: the paper's command takes it, and stage 2 runs no model."""
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    optimal: OptimalConfig = field(default_factory=OptimalConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    share: ShareConfig = field(default_factory=ShareConfig)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    harvest_first: HarvestFirstConfig = field(default_factory=HarvestFirstConfig)

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range, and for settings that contradict one another."""
        check_whole_numbers(self.flags())
        shorten_hook_names(self)
        at_least_one(self, "features_per_task")
        if not self.experiment_type:
            raise SettingsError("Name at least one study with --experiment_type.")
        if len(set(self.experiment_type)) < len(self.experiment_type):
            raise SettingsError("Name each of --experiment_type once.")
        # A name may have folders, as the paper's have; it never leaves RESULTS_DIR/probing.
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", self.experiment_name):
            raise SettingsError(
                f"--experiment_name {self.experiment_name!r} must be letters, digits, dots and dashes; a / divides "
                "folders, each of which begins with a letter or digit."
            )
        if self.share.world_size > 1 and (self.harvest_first.harvest or self.execution.cluster == "slurm"):
            raise SettingsError(
                "--harvest and --cluster slurm are for one process, and this process is one of several in an array. "
                "Start it outside the array, or without these flags."
            )
        for name in ("class_order", "test_feature_dataset"):
            if getattr(self.reading, name) and "reading_probes" not in self.experiment_type:
                raise SettingsError(f"--{name} is for --experiment_type reading_probes.")
        if self.slurm.after is not None and self.execution.cluster != "slurm":
            raise SettingsError("--after needs --cluster slurm.")

    def store_folder(self) -> Path | UPath:
        """Return the folder of the store that is probed."""
        return store_folder(self.activations)


DECIDE_NO_RESULT = (
    *FOLDERS,
    "activations_dir",
    "batch_size",
    "dry_run",
    "test_feature_dataset",
    "combined_layers",
    *(
        setting.name
        for section in (ExecutionConfig, ShareConfig, SlurmConfig, HarvestFirstConfig)
        for setting in fields(section)
    ),
)
"""Settings of folders, of where tasks run, and of what finished probes are scored on: no task depends on them."""
