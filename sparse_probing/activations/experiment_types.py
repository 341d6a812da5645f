"""The experiment types of stage 1, as the script runs them: say what will be done, do it, say where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import RenderableType

from sparse_probing.activations.harvest import prepare_harvest, run_harvest
from sparse_probing.activations.harvesting.dry_run import dry_run
from sparse_probing.activations.harvesting.existing_stores import outcome
from sparse_probing.activations.statistics import histogram
from sparse_probing.activations.subset import activation_subset
from sparse_probing.activations.tables.subject import Subject
from sparse_probing.config import HarvestConfig, HarvestType

Say = Callable[[RenderableType], object]
"""Shows a person a line, or a table."""


def store_activations(config: HarvestConfig, say: Say) -> None:
    """Harvest into activation stores; see `sparse_probing.activations.harvest.harvest`."""
    if config.dry_run:
        say(dry_run(config))
        return
    job = prepare_harvest(config)
    say(job.summary())
    run_harvest(job)
    say(outcome(job))


def count_activations(config: HarvestConfig, say: Say) -> None:
    """Make histograms; see `sparse_probing.activations.statistics.histogram.full_activation_histogram`."""
    job = histogram.prepare_histogram(config)
    say(histogram.summary(job))
    if not config.dry_run:
        _say_outcome(say, job.subject, job.subject.widths, histogram.run_histogram(job))


def store_neurons(config: HarvestConfig, say: Say) -> None:
    """Store chosen neurons; see `sparse_probing.activations.subset.activation_subset.activation_subset`."""
    job = activation_subset.prepare_subset(config)
    say(activation_subset.summary(job))
    if not config.dry_run:
        _say_outcome(say, job.subject, job.neurons, activation_subset.run_subset(job))


EXPERIMENTS: dict[HarvestType, Callable[[HarvestConfig, Say], None]] = {
    "activation_probe_dataset": store_activations,
    "all_activations": store_activations,
    "full_activation_histogram": count_activations,
    "activation_subset": store_neurons,
}


def _say_outcome(say: Say, subject: Subject, hook_points: Iterable[str], complete: bool) -> None:
    rank, world_size = subject.config.share.rank, subject.config.share.world_size
    waiting = f"process {rank} of {world_size} has done its share; the last one completes the tables"
    for hook_point in hook_points:
        say(f"{'complete' if complete else waiting}: {subject.folder(hook_point)}")
