"""Settings of both stages, declared once: frozen dataclasses that are also the command lines."""

from experiments.config.harvest import HarvestConfig, HarvestType, ModelDtype, Precision, StoreKind
from experiments.config.probing import BasisName, Cluster, ControlName, ProbingConfig, RankingName, StudyName
from experiments.config.store import StoreConfig, settings_record

__all__ = [
    "BasisName",
    "Cluster",
    "ControlName",
    "HarvestConfig",
    "HarvestType",
    "ModelDtype",
    "Precision",
    "ProbingConfig",
    "RankingName",
    "StoreConfig",
    "StoreKind",
    "StudyName",
    "settings_record",
]
