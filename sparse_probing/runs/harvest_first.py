"""Stage 1 before stage 2 (``--harvest``): the settings of the harvests, and which of them are missing."""

from __future__ import annotations

import shlex

import tyro
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.manifest.plan_file import HEADER
from sparse_probing.activations.stores.storage.files import file_exists
from sparse_probing.config import ForwardPassConfig, HarvestConfig, ProbingConfig, ShareConfig
from sparse_probing.runs.planning.create_run import cut_tasks


def missing_harvests(config: ProbingConfig) -> list[HarvestConfig]:
    """Return the settings of stage 1 for every store that stage 2 reads and that is not complete.

    The stores are that of the activations and, for the control ``random_init``, that of the model with random
    weights.

    Raises
    ------
    SettingsError
        When ``--harvest_flags`` would make a store that stage 2 does not read.
    """
    configs = [config]
    if "random_init" in config.statistics.controls and not config.activations.random_init:
        configs.append(config.with_flags(random_init=True))
    missing = []
    for stage_one in map(_harvest_config, configs):
        folder = stage_one.store_folder()
        if not (file_exists(folder / HEADER) and open_store(folder).is_complete):
            missing.append(stage_one)
    return missing


def harvest_here(config: ProbingConfig) -> None:
    """Make the stores that are not complete, in this process."""
    from sparse_probing.activations.harvest import harvest  # here: it loads models, whose libraries take seconds

    for stage_one in missing_harvests(config):
        harvest(stage_one)


def expected_tasks(config: ProbingConfig, stage_one: HarvestConfig) -> int:
    """Return how many tasks there will be when the store is complete; reads the model's description, not its weights.

    Raises
    ------
    DatasetError, ModelError, StoreError
        When stage 1 cannot run.
    """
    from sparse_probing.activations.harvesting.prepare import prepare_harvest  # here, for the same reason

    prepared = prepare_harvest(stage_one, weights=False)
    return len(cut_tasks(config, config.layers or prepared.plan.layers, prepared.dataset))


def _harvest_config(config: ProbingConfig) -> HarvestConfig:
    on_gpu = config.execution.cluster == "slurm" and config.harvest_first.harvest_gpus > 0
    shared = HarvestConfig(
        activations=config.activations,
        forward_pass=ForwardPassConfig(device="cuda" if on_gpu else "auto"),
        share=ShareConfig(0, 1),  # the default would be the share of the array entry that runs this process
    )
    flags = config.harvest_first.harvest_flags
    stage_one = tyro.cli(
        OmitArgPrefixes[HarvestConfig], args=shlex.split(flags), default=shared, prog="--harvest_flags"
    )
    if stage_one.store_folder() != config.store_folder():
        raise SettingsError(
            f"--harvest_flags {flags!r} would make {stage_one.store_folder()}, and stage 2 reads "
            f"{config.store_folder()}. Give the settings that both stages share as flags of this command."
        )
    return stage_one
