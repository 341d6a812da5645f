"""Find the neurons of a language model that encode a feature, check them, and use them.

::

    import sparse_probing as sp

    dataset = sp.make_dataset("natural_lang_id", tokenizer="demo")
    store = sp.harvest(dataset, model="demo", aggregation="mean")
    result = sp.probe(store, dataset, "heuristic_sparsity_sweep", max_k=64)
    result.best_neurons()

Nothing is imported before it is used: ``import sparse_probing`` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
    from probing_datasets.foundation.errors import SparseProbingError
    from probing_datasets.make import make_dataset
    from sparse_probing.activations.harvest import harvest
    from sparse_probing.activations.stores import ActivationStore, open_store
    from sparse_probing.api.probe import probe
    from sparse_probing.api.result import Result, load_result
    from sparse_probing.config import HarvestConfig, OnlineConfig, ProbingConfig
    from sparse_probing.models import LanguageModel, load_model
    from sparse_probing.monitoring.apply import apply_probes, apply_to_file
    from sparse_probing.monitoring.apply_to_store import apply_to_store
    from sparse_probing.monitoring.generation import watch
    from sparse_probing.monitoring.saved_pooling import save_pooling
    from sparse_probing.monitoring.score_pooling import pool_texts
    from sparse_probing.monitoring.trained_pooling import fit_pooling
    from sparse_probing.neurons.load import load_neurons
    from sparse_probing.online.online_run import OnlineRun, load_online
    from sparse_probing.online.train_online import train_online
    from sparse_probing.probes.estimators import (
        DenseProbe,
        L1Probe,
        SingleNeuronProbe,
        SparseRegressor,
        TopKProbe,
    )
    from sparse_probing.probes.metrics.monitor_metrics import threshold_at
    from sparse_probing.saved_probes.hub import push_to_hub
    from sparse_probing.saved_probes.load_probe import load_probe
    from sparse_probing.saved_probes.saved_probe import SavedProbe

__version__ = "0.2.0"

MODULES = {
    "ActivationStore": "sparse_probing.activations.stores",
    "DenseProbe": "sparse_probing.probes.estimators",
    "FeatureDataset": "probing_datasets.feature_dataset",
    "HarvestConfig": "sparse_probing.config",
    "L1Probe": "sparse_probing.probes.estimators",
    "LanguageModel": "sparse_probing.models",
    "OnlineConfig": "sparse_probing.config",
    "OnlineRun": "sparse_probing.online.online_run",
    "ProbingConfig": "sparse_probing.config",
    "Result": "sparse_probing.api.result",
    "SavedProbe": "sparse_probing.saved_probes.saved_probe",
    "SingleNeuronProbe": "sparse_probing.probes.estimators",
    "SparseProbingError": "probing_datasets.foundation.errors",
    "SparseRegressor": "sparse_probing.probes.estimators",
    "TopKProbe": "sparse_probing.probes.estimators",
    "apply_probes": "sparse_probing.monitoring.apply",
    "apply_to_file": "sparse_probing.monitoring.apply",
    "apply_to_store": "sparse_probing.monitoring.apply_to_store",
    "fit_pooling": "sparse_probing.monitoring.trained_pooling",
    "harvest": "sparse_probing.activations.harvest",
    "load_feature_dataset": "probing_datasets.feature_dataset",
    "load_model": "sparse_probing.models",
    "load_neurons": "sparse_probing.neurons.load",
    "load_online": "sparse_probing.online.online_run",
    "load_probe": "sparse_probing.saved_probes.load_probe",
    "load_result": "sparse_probing.api.result",
    "make_dataset": "probing_datasets.make",
    "open_store": "sparse_probing.activations.stores",
    "pool_texts": "sparse_probing.monitoring.score_pooling",
    "probe": "sparse_probing.api.probe",
    "push_to_hub": "sparse_probing.saved_probes.hub",
    "save_pooling": "sparse_probing.monitoring.saved_pooling",
    "threshold_at": "sparse_probing.probes.metrics.monitor_metrics",
    "train_online": "sparse_probing.online.train_online",
    "watch": "sparse_probing.monitoring.generation",
}
"""Where each name of the package is defined."""

__all__ = [
    "ActivationStore",
    "DenseProbe",
    "FeatureDataset",
    "HarvestConfig",
    "L1Probe",
    "LanguageModel",
    "OnlineConfig",
    "OnlineRun",
    "ProbingConfig",
    "Result",
    "SavedProbe",
    "SingleNeuronProbe",
    "SparseProbingError",
    "SparseRegressor",
    "TopKProbe",
    "__version__",
    "apply_probes",
    "apply_to_file",
    "apply_to_store",
    "fit_pooling",
    "harvest",
    "load_feature_dataset",
    "load_model",
    "load_neurons",
    "load_online",
    "load_probe",
    "load_result",
    "make_dataset",
    "open_store",
    "pool_texts",
    "probe",
    "push_to_hub",
    "save_pooling",
    "threshold_at",
    "train_online",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import a name of the package when it is first used."""
    if name not in MODULES:
        raise AttributeError(f"module 'sparse_probing' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names of the package."""
    return __all__
