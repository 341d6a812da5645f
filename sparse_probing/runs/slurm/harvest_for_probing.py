"""Stage 1 as stage 2 asks for it with ``--harvest``."""

from __future__ import annotations

import shlex

import tyro
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.manifest.header import HEADER
from sparse_probing.activations.stores.storage.files import file_exists
from sparse_probing.config import ForwardPassConfig, HarvestConfig, ProbingConfig, ShareConfig
from sparse_probing.runs.planning.plan_run import cut_tasks


def harvest_configs(config: ProbingConfig) -> list[HarvestConfig]:
    """Return the settings of stage 1 for the stores that stage 2 reads: its own, and that of the random control."""
    configs = [config]
    if "random_init" in config.statistics.controls and not config.activations.random_init:
        configs.append(config.with_flags(random_init=True))
    return [_harvest_config(each) for each in configs]


def open_harvests(config: ProbingConfig) -> list[HarvestConfig]:
    """Return those whose store is not complete."""
    return [harvest for harvest in harvest_configs(config) if not _is_complete(harvest)]


def harvest_here(config: ProbingConfig) -> None:
    """Make the stores that are not complete in this process."""
    for lacking in open_harvests(config):
        harvest(lacking)


def expected_tasks(config: ProbingConfig, harvest: HarvestConfig) -> int:
    """Return how many tasks there will be when the store is complete; the model is looked at, without its weights.

    Raises
    ------
    DatasetError, ModelError, StoreError
        When stage 1 cannot work.
    """
    job = prepare_harvest(harvest, weights=False)
    return len(cut_tasks(config, config.layers or job.plan.layers, job.dataset))


def _harvest_config(config: ProbingConfig) -> HarvestConfig:
    on_gpu = config.execution.cluster == "slurm" and config.harvest_first.harvest_gpus > 0
    base = HarvestConfig(
        activations=config.activations,
        forward_pass=ForwardPassConfig(device="cuda" if on_gpu else "cpu"),
        share=ShareConfig(0, 1),  # the default would be the share of the array entry that this process is
    )
    asked = tyro.cli(
        OmitArgPrefixes[HarvestConfig],
        args=shlex.split(config.harvest_first.harvest_flags),
        default=base,
        prog="--harvest_flags",
    )
    if asked.store_folder() != config.store_folder():
        raise SettingsError(
            f"--harvest_flags {config.harvest_first.harvest_flags!r} would make {asked.store_folder()}, and stage 2 reads "
            f"{config.store_folder()}. Say on the command line itself what both stages share."
        )
    return asked


def _is_complete(config: HarvestConfig) -> bool:
    path = config.store_folder()
    return file_exists(path / HEADER) and open_store(path).is_complete
