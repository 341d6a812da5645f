"""Settings of both stages, declared once: frozen dataclasses that are also the command lines."""

from sparse_probing.config.cluster import Cluster, ClusterConfig, Resources
from sparse_probing.config.harvest import HarvestConfig, HarvestType, ModelDtype, Precision, StoreKind
from sparse_probing.config.optimal import ClassificationLoss, OptimalConfig, SolverName
from sparse_probing.config.probing import BasisName, ControlName, ProbingConfig, RankingName, StudyName
from sparse_probing.config.store import StoreConfig, settings_record

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
