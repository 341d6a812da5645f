"""What a run reads: the feature data set and the store of its activations, checked to belong together."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, StoreError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.model_names import model_identity
from sparse_probing.activations.stores import ActivationStore, open_store
from sparse_probing.activations.stores.storage.files import file_exists
from sparse_probing.config import ActivationsConfig, ProbingConfig
from sparse_probing.config.result_folders import store_folder
from sparse_probing.runs.planning.missing_store import missing_store, stage_one_command

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What the tasks of a run read."""

    dataset: FeatureDataset
    store: ActivationStore
    random_init: ActivationStore | None
    """The same rows of the model with random weights, where that control is requested and stored."""

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
        When the store is missing, incomplete (the message contains the command that makes it), or of
        another model.
    DatasetError
        When the data set does not exist, or the store was made from another version of it.
    """
    activations = config.activations
    dataset = load_feature_dataset(activations.feature_dataset, activations.feature_dataset_dir)
    store = _open_complete_store(activations, dataset)
    if "random_init" not in config.statistics.controls:
        return Inputs(dataset, store, None)
    control = config.with_flags(random_init=True).activations
    if activations.random_init or not file_exists(store_folder(control) / "plan.json"):
        logger.warning(
            "The control random_init has no store and is skipped. Make it with\n  %s", stage_one_command(control)
        )
        return Inputs(dataset, store, None)
    random_init = _open_complete_store(control, dataset)
    same_rows = all(map(np.array_equal, store.rows, random_init.rows))
    if not same_rows or not set(store.plan.layers) <= set(random_init.plan.layers):
        raise StoreError(
            f"{random_init.path} does not have all rows or layers of {store.path}. Harvest it again with --overwrite."
        )
    return Inputs(dataset, store, random_init)


def _open_complete_store(activations: ActivationsConfig, dataset: FeatureDataset) -> ActivationStore:
    """Open a store after checking that it is complete, of the model and of this version of the data set."""
    folder, command = store_folder(activations), stage_one_command(activations)
    if not file_exists(folder / "plan.json"):
        raise missing_store(activations)
    store = open_store(folder)
    if not store.is_complete:
        n_missing = len(store.open_parts())
        raise StoreError(
            f"{n_missing} of {store.plan.n_parts} parts of the activation store in {folder} are missing. "
            f"Complete it with:\n  {command}"
        )
    stored = store.plan.fingerprint["model"]
    # A name that equals the stored identity is not resolved: that takes seconds in every worker.
    if activations.model != stored and model_identity(activations.model) != stored:
        raise StoreError(
            f"The store in {store.path} holds activations of {stored}, not of {model_identity(activations.model)}. "
            "Name that model, or give the other one a different RESULTS_DIR."
        )
    if store.plan.fingerprint["dataset_hash"] != dataset.description.content_hash:
        raise DatasetError(
            f"{dataset.name} was made again after its activations were stored in {store.path}. "
            "Run get_activations.py again with --overwrite."
        )
    return store
