"""Settings of both stages, declared once: frozen dataclasses in sections that are also the command lines."""

from sparse_probing.config.activations import ActivationsConfig
from sparse_probing.config.execution import Cluster, ExecutionConfig, HarvestFirstConfig, Resources, SlurmConfig
from sparse_probing.config.harvest import (
    ForwardPassConfig,
    HarvestConfig,
    HarvestType,
    HistogramConfig,
    ModelDtype,
    NeuronSubsetConfig,
    Precision,
    StorageConfig,
    StoreKind,
    TokensConfig,
)
from sparse_probing.config.online import OnlineConfig
from sparse_probing.config.optimal import ClassificationLoss, OptimalConfig, SolverName
from sparse_probing.config.probing import (
    BasisName,
    ChosenRanking,
    ControlName,
    FitConfig,
    ProbingConfig,
    RankingName,
    ScalingName,
    SearchConfig,
    SplitConfig,
    StatisticsConfig,
    StudyName,
)
from sparse_probing.config.reading import ReadingConfig, ReadingSolver
from sparse_probing.config.sections import Configuration
from sparse_probing.config.share import ShareConfig

__all__ = [
    "ActivationsConfig",
    "BasisName",
    "ChosenRanking",
    "ClassificationLoss",
    "Cluster",
    "Configuration",
    "ControlName",
    "ExecutionConfig",
    "FitConfig",
    "ForwardPassConfig",
    "HarvestConfig",
    "HarvestFirstConfig",
    "HarvestType",
    "HistogramConfig",
    "ModelDtype",
    "NeuronSubsetConfig",
    "OnlineConfig",
    "OptimalConfig",
    "Precision",
    "ProbingConfig",
    "RankingName",
    "ReadingConfig",
    "ReadingSolver",
    "ScalingName",
    "Resources",
    "SearchConfig",
    "ShareConfig",
    "SlurmConfig",
    "SolverName",
    "SplitConfig",
    "StatisticsConfig",
    "StorageConfig",
    "StoreKind",
    "StudyName",
    "TokensConfig",
]
