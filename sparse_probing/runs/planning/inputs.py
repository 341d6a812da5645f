"""What a run reads: the feature data set and the store of its activations, checked to belong together."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, StoreError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.settings import read_settings
from probing_datasets.model_names import model_identity
from sparse_probing.activations.stores import ActivationStore, open_store
from sparse_probing.config import ProbingConfig
from sparse_probing.config.sections import FOLDERS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What the tasks of a run read."""

    dataset: FeatureDataset
    store: ActivationStore
    random_init: ActivationStore | None
    """The same rows of the model with random weights, where that control was asked for and stored."""

    @property
    def digest(self) -> str:
        """Digest of all activations."""
        if self.random_init is None:
            return self.store.digest
        return digest_json([self.store.digest, self.random_init.digest])


def open_inputs(config: ProbingConfig) -> Inputs:
    """Open the data set and the complete activation stores of a configuration.

    Raises
    ------
    StoreError
        When the store is missing, incomplete (the message holds the command that makes it), or of
        another model.
    DatasetError
        When the data set does not exist, or the store was made of another version of it.
    """
    dataset = load_feature_dataset(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    store = _open_store(config)
    _check_same_origin(config, dataset, store)
    control = _open_random_init(config, dataset, store) if "random_init" in config.statistics.controls else None
    return Inputs(dataset, store, control)


def _open_random_init(config: ProbingConfig, dataset: FeatureDataset, store: ActivationStore) -> ActivationStore | None:
    """Open the store of the randomly initialised model; None, and a warning, when it is not there."""
    other = config.with_flags(random_init=True)
    if config.activations.random_init or not (other.store_folder() / "plan.json").exists():
        logger.warning("There is no control random_init: make its store with\n  %s", _stage_one_command(other))
        return None
    control = _open_store(other)
    _check_same_origin(other, dataset, control)
    same = all(map(np.array_equal, store.rows, control.rows)) and set(store.plan.layers) <= set(control.plan.layers)
    if not same:
        raise StoreError(f"{control.path} lacks rows or layers of {store.path}. Harvest it again with --overwrite.")
    return control


def _open_store(config: ProbingConfig) -> ActivationStore:
    command = _stage_one_command(config)
    if not (config.store_folder() / "plan.json").exists():
        raise StoreError(f"There is no activation store in {config.store_folder()}. Make it with:\n  {command}")
    store = open_store(config.store_folder())
    if not store.is_complete:
        n_open = len(store.open_parts())
        raise StoreError(
            f"The activation store in {config.store_folder()} lacks {n_open} of {store.plan.n_parts} parts. "
            f"Complete it with:\n  {command}"
        )
    return store


def _stage_one_command(config: ProbingConfig) -> str:
    names = ["model", "feature_dataset", "probe_location", "activation_aggregation"]
    names += ["revision"] if config.activations.revision else []
    names += ["seed"] if config.activations.random_init else []
    environment = read_settings()
    names += [name for name in FOLDERS if getattr(config.activations, name) != getattr(environment, name)]
    names += ["activations_dir"] if config.activations.activations_dir else []
    flags = [text for name in names for text in (f"--{name}", str(getattr(config.activations, name)))]
    flags += [f"--{name}" for name in ("random_init", "probe_next_token_feature") if getattr(config.activations, name)]
    return shlex.join(["python", "get_activations.py", *flags])


def _check_same_origin(config: ProbingConfig, dataset: FeatureDataset, store: ActivationStore) -> None:
    stored = store.plan.fingerprint["model"]
    # A name that is its own identity is not resolved: that takes seconds in every worker.
    if config.activations.model != stored and model_identity(config.activations.model) != stored:
        raise StoreError(
            f"The store in {store.path} holds activations of {stored}, not of {model_identity(config.activations.model)}. "
            "Name that model, or keep the two apart by RESULTS_DIR."
        )
    if store.plan.fingerprint["dataset_hash"] != dataset.description.content_hash:
        raise DatasetError(
            f"{dataset.name} was made anew after its activations were stored in {store.path}. "
            "Run get_activations.py again with --overwrite."
        )
