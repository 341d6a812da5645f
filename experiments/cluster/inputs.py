"""What a run reads: the feature data set and the store of its activations, checked to belong together."""

from __future__ import annotations

import shlex

from experiments.activations.stores import ActivationStore, ZarrStore
from experiments.config import ProbingConfig
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, StoreError
from probing_datasets.foundation.settings import read_settings
from probing_datasets.model_names import model_identity

PATHS = ("results_dir", "feature_dataset_dir")


def open_inputs(config: ProbingConfig) -> tuple[FeatureDataset, ActivationStore]:
    """Open the data set and the complete activation store of a configuration.

    Raises
    ------
    StoreError
        When the store is missing, incomplete (the message holds the command that makes it), or of
        another model.
    DatasetError
        When the data set does not exist, or the store was made of another version of it.
    """
    dataset = load_feature_dataset(config.feature_dataset, config.feature_dataset_dir)
    store = _open_store(config)
    _check_same_origin(config, dataset, store)
    return dataset, store


def _open_store(config: ProbingConfig) -> ActivationStore:
    command = _stage_one_command(config)
    if not (config.store_path / "plan.json").exists():
        raise StoreError(f"There is no activation store in {config.store_path}. Make it with:\n  {command}")
    store = ZarrStore.open(config.store_path)
    if not store.is_complete:
        n_open = len(store.open_parts())
        raise StoreError(
            f"The activation store in {config.store_path} lacks {n_open} of {store.plan.n_parts} parts. "
            f"Complete it with:\n  {command}"
        )
    return store


def _stage_one_command(config: ProbingConfig) -> str:
    names = ["model", "feature_dataset", "probe_location", "activation_aggregation"]
    names += ["revision"] if config.revision else []
    names += ["seed"] if config.random_init else []
    environment = read_settings()
    names += [name for name in PATHS if getattr(config, name) != getattr(environment, name)]
    flags = [text for name in names for text in (f"--{name}", str(getattr(config, name)))]
    flags += ["--random_init"] if config.random_init else []
    return shlex.join(["python", "get_activations.py", *flags])


def _check_same_origin(config: ProbingConfig, dataset: FeatureDataset, store: ActivationStore) -> None:
    stored = store.plan.fingerprint["model"]
    # A name that is its own identity is not resolved: that takes seconds in every worker.
    if config.model != stored and model_identity(config.model) != stored:
        raise StoreError(
            f"The store in {store.path} holds activations of {stored}, not of {model_identity(config.model)}. "
            "Name that model, or keep the two apart by RESULTS_DIR."
        )
    if store.plan.fingerprint["dataset_hash"] != dataset.description.content_hash:
        raise DatasetError(
            f"{dataset.name} was made anew after its activations were stored in {store.path}. "
            "Run get_activations.py again with --overwrite."
        )
