"""Settings of optimal sparse probes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.sections import at_least_one

SolverName = Literal["auto", "branch_and_bound", "gurobi"]
ClassificationLoss = Literal["hinge", "logistic"]


@dataclass(frozen=True)
class OptimalConfig:
    """Studies that prove which k neurons are best."""

    osp_upto_k: int = 8
    """Largest number of neurons of an optimal support; every number from 1 on is searched."""
    osp_heuristic_filter_size: int = 0
    """Search among this number of best-ranked neurons; 0 or less: the whole layer (osp_tuning, osp_iterative_pruning
    and test_osp_heuristic_filtering: the paper's 50)."""
    osp_loss: ClassificationLoss = "hinge"
    """Loss of optimal probes, class-weighted."""
    osp_ridge: float = 1.0
    """m of the ridge m / sqrt(n). 1, the paper's, makes proofs easy and predictions worse; 3 to 10 predict better."""
    osp_ridge_grid: tuple[float, ...] = (1.0, 3.0, 10.0)
    """Values of m that osp_choose_ridge compares on validation folds."""
    osp_solver: SolverName = "branch_and_bound"
    """branch_and_bound needs nothing else; gurobi needs gurobipy, and a full licence for wide layers."""
    osp_gap: float = 1e-4
    """Relative gap between objective and lower bound at which a support counts as proved."""
    osp_timeout: Annotated[float, arg(aliases=["--gurobi_timeout"])] = 60.0
    """Time limit of one probe, in seconds, for either solver."""
    gurobi_verbose: bool = False
    """Show Gurobi's log."""
    osp_near_gap: float = 0.0
    """Also list all supports whose objective is larger by at most this share (branch_and_bound)."""
    osp_resamples: int = 0
    """Resamples of the training groups that measure how stable a support is; each takes one more solve
    (optimal_sparse_probing, optimal_sparse_regression)."""
    proof: bool = False
    """Store a log of every search, from which `verify` proves its lower bound again (branch_and_bound)."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "osp_upto_k")
        if not self.osp_ridge_grid:
            raise SettingsError("Name at least one value with --osp_ridge_grid.")
        for name in ("osp_ridge", "osp_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"--{name} must be positive and finite, not {getattr(self, name)}.")
        if not all(0 < m < math.inf for m in self.osp_ridge_grid):
            raise SettingsError("Every value of --osp_ridge_grid must be positive and finite.")
        if len(set(self.osp_ridge_grid)) < len(self.osp_ridge_grid):
            raise SettingsError("Name each value of --osp_ridge_grid once.")
        if not 1e-5 <= self.osp_gap < 1 or not 0 <= self.osp_near_gap < 1:
            raise SettingsError("--osp_gap must be at least 1e-5 and below 1, --osp_near_gap at least 0 and below 1.")
        if self.osp_resamples < 0:
            raise SettingsError(f"--osp_resamples must be at least 0, not {self.osp_resamples}.")
        if self.osp_solver == "gurobi" and (self.proof or self.osp_near_gap):
            raise SettingsError("--proof and --osp_near_gap need --osp_solver branch_and_bound.")
