"""Experiment type `activation_subset`: chosen neurons at every token of a data set."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from probing_datasets.feature_dataset.probed_rows import ProbedRows, grid_rows
from sparse_probing.activations.subset.derived_tables import write_derived_tables
from sparse_probing.activations.subset.neurons import Neuron, check_neurons, chosen_neurons
from sparse_probing.activations.subset.parts import compute_part, part_file, write_part
from sparse_probing.activations.tables.result_folder import begin_folder
from sparse_probing.activations.tables.subject import Subject, load_subject, torch_threads
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

ALGORITHM_VERSION = 1
"""Raise when the same settings give other numbers: old parts are then not gone on with."""
PART_SEQUENCES = 256


@dataclass(frozen=True)
class SubsetJob:
    """An activation subset that is ready to run."""

    subject: Subject
    rows: ProbedRows
    neurons: dict[str, tuple[Neuron, ...]]
    """By hook point."""

    @classmethod
    def of(cls, subject: Subject) -> SubsetJob:
        """Choose the rows and neurons of a subject; ModelError when it lacks some of the neurons."""
        neurons = {hook_point: chosen_neurons(subject.config, hook_point) for hook_point in subject.widths}
        for hook_point, some in neurons.items():
            model, width = subject.model, subject.widths[hook_point]
            check_neurons(some, model.name, model.n_layers, hook_point, width)
        return cls(subject, grid_rows(subject.dataset, subject.config.tokens.positions, padding=False), neurons)

    @cached_property
    def bounds(self) -> np.ndarray:
        """(n_parts + 1,) int64: first row of every part, and the end of the last."""
        n_sequences = self.subject.dataset.description.n_sequences
        first = np.arange(0, n_sequences, PART_SEQUENCES)
        return np.append(np.searchsorted(self.rows.sequence, first), len(self.rows))

    @property
    def n_parts(self) -> int:
        """Number of parts; one may have no rows where `positions` lie behind all its sequences."""
        return len(self.bounds) - 1

    def plan(self, hook_point: str) -> dict[str, Any]:
        """Return everything that decides the numbers of a hook point, as JSON."""
        plan = {
            "algorithm_version": ALGORITHM_VERSION,
            **self.subject.fingerprint(hook_point),
            "neurons": [str(neuron) for neuron in self.neurons[hook_point]],
            "positions": sorted(set(self.subject.config.tokens.positions)),
            "part_sequences": PART_SEQUENCES,
        }
        del plan["layers"]  # the neurons say them
        return plan

    def tokens(self, start: int, stop: int) -> np.ndarray:
        """(stop - start,) int32: token ids of some rows."""
        sequence, position = self.rows.sequence[start:stop], self.rows.position[start:stop]
        distinct, inverse = np.unique(sequence, return_inverse=True)
        tokens = self.subject.dataset.tokens(distinct)
        first = np.cumsum([0, *map(len, tokens)])[:-1]
        return np.concatenate([*tokens, np.empty(0, np.int32)])[first[inverse] + position]

    def open_parts(self, hook_point: str) -> list[int]:
        """Return the parts that are not written yet."""
        folder = self.subject.folder(hook_point)
        return [part for part in range(self.n_parts) if not (folder / part_file(part)).exists()]


def activation_subset(config: HarvestConfig) -> Path:
    """Write, or go on writing, the activations of chosen neurons at every token.

    Parameters
    ----------
    config : HarvestConfig
        ``neuron_subset``, ``neuron_subset_file`` and ``positions`` decide what is kept;
        ``save_by_neuron`` and ``skip_computing_token_summary_df`` which further tables are made of it.

    Returns
    -------
    Path
        Folder of ``config.activations.probe_location``, those of further locations are beside it: ``parts/`` (together one
        table, ``pandas.read_parquet(folder / "parts")``), ``token_summary.parquet``, ``by_neuron/`` and, written
        last, ``description.json``.

    Raises
    ------
    SettingsError, DatasetError, ModelError
        When a neuron, the data set, the model or a hook point does not exist, or they do not fit.
    StoreError
        When results of other settings stand there.
    ActivationError
        When an activation is NaN or infinite.
    """
    job = prepare_subset(config)
    logger.info(summary(job))
    run_subset(job)
    return job.subject.folder(config.activations.probe_location)


def prepare_subset(config: HarvestConfig) -> SubsetJob:
    """Load the data set and the model, and plan."""
    return SubsetJob.of(load_subject(config))


def summary(job: SubsetJob) -> str:
    """Say what is stored, and where it goes."""
    neurons = ", ".join(f"{hook_point} {len(some):,}" for hook_point, some in job.neurons.items())
    return (
        f"{len(job.rows):,} tokens, neurons {neurons}, {job.n_parts} parts, "
        f"in {job.subject.folder(job.subject.config.activations.probe_location)}"
    )


def run_subset(job: SubsetJob) -> bool:
    """Write the open parts of this process; the process that ends last makes the further tables.

    Returns
    -------
    bool
        Whether the tables of all hook points are there.
    """
    subject = job.subject
    for hook_point in job.neurons:
        folder, plan = subject.folder(hook_point), job.plan(hook_point)
        begin_folder(folder, plan, overwrite=subject.config.storage.overwrite, resume=subject.config.storage.resume)
    with torch_threads(subject.config.forward_pass.n_threads):
        _write_open_parts(job)
    return all([_finish(job, hook_point) for hook_point in job.neurons])


def _write_open_parts(job: SubsetJob) -> None:
    lacking = {hook_point: set(job.open_parts(hook_point)) for hook_point in job.neurons}
    mine = [part for part in job.subject.share(job.n_parts) if any(part in parts for parts in lacking.values())]
    for part in tqdm(mine, unit=" parts", desc="subset", disable=None):
        start, stop = job.bounds[part : part + 2].tolist()
        neurons = {hook_point: some for hook_point, some in job.neurons.items() if part in lacking[hook_point]}
        values, token = compute_part(job.subject, job.rows, start, stop, neurons), job.tokens(start, stop)
        for hook_point, of_hook in values.items():
            write_part(job.subject.folder(hook_point) / part_file(part), job.rows, start, stop, token, of_hook)


def _finish(job: SubsetJob, hook_point: str) -> bool:
    """Make the further tables once all parts are there; return whether they are."""
    if job.open_parts(hook_point):
        return False
    write_derived_tables(job.subject, hook_point, job.n_parts, job.neurons[hook_point])
    return True
