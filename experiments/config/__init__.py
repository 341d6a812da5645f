"""Settings of both stages, declared once: frozen dataclasses that are also the command lines."""

from experiments.config.cluster import Cluster, ClusterConfig, Resources
from experiments.config.harvest import HarvestConfig, HarvestType, ModelDtype, Precision, StoreKind
from experiments.config.optimal import ClassificationLoss, OptimalConfig, SolverName
from experiments.config.probing import BasisName, ControlName, ProbingConfig, RankingName, StudyName
from experiments.config.store import StoreConfig, settings_record

__all__ = [
    "BasisName",
    "ClassificationLoss",
    "Cluster",
    "ClusterConfig",
    "ControlName",
    "HarvestConfig",
    "HarvestType",
    "ModelDtype",
    "OptimalConfig",
    "Precision",
    "ProbingConfig",
    "RankingName",
    "Resources",
    "SolverName",
    "StoreConfig",
    "StoreKind",
    "StudyName",
    "settings_record",
]
