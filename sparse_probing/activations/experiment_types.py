"""The experiment types of stage 1 as commands: show what will be done, do it, show where the results are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.harvest import run_harvest
from sparse_probing.activations.harvesting.dry_run import dry_run
from sparse_probing.activations.harvesting.existing_stores import outcome
from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.statistics import histogram
from sparse_probing.activations.statistics.prepare import prepare_histogram
from sparse_probing.activations.subset import activation_subset
from sparse_probing.activations.subset.prepare import prepare_subset
from sparse_probing.activations.tables.table_inputs import TableInputs
from sparse_probing.config import HarvestConfig, HarvestType

Show = Callable[[object], object]
"""Prints text for a person."""


def store_activations(config: HarvestConfig, show: Show) -> None:
    """Harvest into activation stores; see `sparse_probing.activations.harvest.harvest`."""
    if config.dry_run:
        show(dry_run(config))
        return
    prepared = prepare_harvest(config)
    show(prepared.summary())
    run_harvest(prepared)
    show(outcome(prepared))


def count_activations(config: HarvestConfig, show: Show) -> None:
    """Make histograms; see `sparse_probing.activations.statistics.histogram.full_activation_histogram`."""
    prepared = prepare_histogram(config)
    show(histogram.summary(prepared))
    if not config.dry_run:
        complete = histogram.run_histogram(prepared)
        _show_outcome(show, prepared.inputs, prepared.inputs.widths, complete)


def store_neurons(config: HarvestConfig, show: Show) -> None:
    """Store chosen neurons; see `sparse_probing.activations.subset.activation_subset.activation_subset`."""
    prepared = prepare_subset(config)
    show(activation_subset.summary(prepared))
    if not config.dry_run:
        complete = activation_subset.run_subset(prepared)
        _show_outcome(show, prepared.inputs, prepared.neurons, complete)


EXPERIMENTS: dict[HarvestType, Callable[[HarvestConfig, Show], None]] = {
    "activation_probe_dataset": store_activations,
    "all_activations": store_activations,
    "full_activation_histogram": count_activations,
    "activation_subset": store_neurons,
    "neuron_subset": store_neurons,
}


def _show_outcome(show: Show, inputs: TableInputs, hook_points: Iterable[str], complete: bool) -> None:
    share = inputs.config.share
    if share.world_size == 1 and not complete:
        raise StoreError(
            f"The tables in {inputs.folder(next(iter(hook_points)))} are incomplete. Run the command again."
        )
    incomplete = f"process {share.rank} of {share.world_size} has done its share; the last one completes the tables"
    for hook_point in hook_points:
        show(f"{'complete' if complete else incomplete}: {inputs.folder(hook_point)}")
