"""Every experiment type as a command: what it shows, and its dry run."""

from typing import get_args

import pytest

from sparse_probing.activations.experiment_types import EXPERIMENTS
from sparse_probing.config import HarvestConfig, HarvestType
from sparse_probing.config.result_folders import tables_folder
from tests.builders.harvests import HOOK

SUBSET = ("activation_subset", "neuron_subset")


@pytest.fixture
def run(tiny_harvest):
    """A function that runs an experiment type and returns the settings and the lines that it shows."""

    def run_type(experiment_type, **change):
        shown = []
        neurons = ("1,2",) if experiment_type in SUBSET else ()
        config = tiny_harvest.with_flags(experiment_type=experiment_type, neuron_subset=neurons, **change)
        EXPERIMENTS[experiment_type](config, shown.append)
        return config, shown

    return run_type


def place(config: HarvestConfig):
    if config.experiment_type in ("activation_probe_dataset", "all_activations"):
        return config.store_folder()
    hook_point = "mlp.hook_pre" if config.experiment_type == "activation_subset" else HOOK
    return tables_folder(config.activations, config.experiment_type, hook_point)


def test_every_type_has_an_entry():
    assert set(EXPERIMENTS) == set(get_args(HarvestType))


@pytest.mark.parametrize("experiment_type", get_args(HarvestType))
def test_each_shows_what_it_will_do_and_where_the_results_are(run, experiment_type):
    config, shown = run(experiment_type)
    assert str(place(config)) in shown[0]
    assert shown[-1] == f"complete: {place(config)}"
    assert place(config).is_dir()


@pytest.mark.parametrize("experiment_type", get_args(HarvestType))
def test_a_dry_run_writes_nothing(run, experiment_type):
    config, shown = run(experiment_type, dry_run=True)
    assert len(shown) == 1
    assert not config.activations.results_dir.exists()


@pytest.mark.parametrize("experiment_type", ["full_activation_histogram", *SUBSET])
def test_a_rank_reports_that_others_are_not_done(run, experiment_type):
    _, shown = run(experiment_type, rank=1, world_size=2)
    assert shown[-1].startswith("process 1 of 2 has done its share")
    config, shown = run(experiment_type, rank=0, world_size=2)
    assert shown[-1] == f"complete: {place(config)}"
