"""What is missing is reported before anything slow is imported: torch and transformers take many seconds."""

from __future__ import annotations

from pathlib import Path

from probing_datasets.feature_dataset.load_and_save import find_dataset_folder
from probing_datasets.foundation.errors import ModelError
from sparse_probing.config import ActivationsConfig, HarvestConfig, OnlineConfig, ProbingConfig
from sparse_probing.config.harvest import SUBSET
from sparse_probing.runs.planning.missing_store import check_store_exists


def check_stage_one(config: HarvestConfig | OnlineConfig) -> None:
    """Look for the data set, the model and the file of neurons.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        When one of them does not exist, or a neuron is not written as LAYER,NEURON.
    """
    activations = config.activations
    further = config.further_datasets if isinstance(config, OnlineConfig) else ()
    for name in (activations.feature_dataset, *further):
        find_dataset_folder(name, activations.feature_dataset_dir)
    _check_model(activations)
    if isinstance(config, HarvestConfig) and config.experiment_type in SUBSET:
        from sparse_probing.activations.subset.neurons import PRE_ACTIVATIONS, select_neurons  # here: imports pandas

        as_paper = config.experiment_type == "activation_subset"
        hook_point = PRE_ACTIVATIONS if as_paper else activations.probe_location
        for location in dict.fromkeys((hook_point, *config.further_locations)):
            select_neurons(config.subset, activations, config.layers, location, as_paper=as_paper)


def check_stage_two(config: ProbingConfig) -> None:
    """Look for the data set and, where no job makes it first, for the store.

    Raises
    ------
    DatasetError, StoreError
        When one of them does not exist.
    """
    find_dataset_folder(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    if config.harvest_first.harvest:
        _check_model(config.activations)
    elif config.slurm.after is None:
        check_store_exists(config.activations)


def _check_model(activations: ActivationsConfig) -> None:
    """Raise ModelError when a folder does not exist, or a hub id is not in the cache and the hub is not to be asked."""
    name = activations.model
    if name == "demo" or Path(name).expanduser().is_dir():
        return
    if name.startswith(("/", "./", "../", "~")):
        raise ModelError(f"There is no folder {name!r} of a model. Pass one that `save_pretrained` wrote.")
    # An alias has no /, and TransformerLens, which knows the hub ids of aliases, takes seconds to import.
    if "/" in name:
        from huggingface_hub import constants, try_to_load_from_cache

        cached = try_to_load_from_cache(name, "config.json", revision=activations.revision)
        if constants.HF_HUB_OFFLINE and not isinstance(cached, str):
            raise ModelError(
                f"The model {name!r} is not in the cache of Hugging Face (HF_HOME), and HF_HUB_OFFLINE is set. "
                "Download it first on a machine with a network, or pass a local folder."
            )
