"""Stage 1: run a model over a feature data set and store the activations of every layer."""

from __future__ import annotations

import logging
from functools import partial

from tqdm import tqdm

from sparse_probing.activations.harvesting.compute_parts import PartBuffers, allocate_part, compute_parts
from sparse_probing.activations.harvesting.existing_stores import Stores, begin_stores, open_shares
from sparse_probing.activations.harvesting.harvest_plan import Harvest, prepare_harvest
from sparse_probing.activations.harvesting.part_writer import PartWriter
from sparse_probing.activations.stores import ActivationStore
from sparse_probing.activations.stores.format.arrays import array_keys
from sparse_probing.activations.tables.subject import torch_threads
from sparse_probing.config import HarvestConfig

__all__ = ["Harvest", "harvest", "prepare_harvest", "run_harvest"]

logger = logging.getLogger(__name__)

WRITING_THREADS = 2
"""Laying out and checksumming takes about a second of one CPU for a gigabyte."""


def harvest(config: HarvestConfig) -> ActivationStore:
    """Run stage 1: make, or complete, the activation store of a configuration.

    Returns
    -------
    ActivationStore
        That of ``config.activations.probe_location``. Those of ``further_locations`` are beside it:
        ``open_store(config.store_folder("hook_resid_post"))``. With a ``world_size`` above 1 it
        lacks the parts that other processes have not written yet.

    Raises
    ------
    DatasetError, ModelError, StoreError, ActivationError
        When the data set, the model or the hook point does not exist or does not fit, when
        the disk is too full, or when an activation is NaN or overflows the precision.
        Finished parts are kept; the same call goes on from there.

    Notes
    -----
    With ``experiment_type="all_activations"`` there is a row for every sequence and position, of
    zeros where there is padding, so that a layer can be read as (sequences, positions, width)::

        config = HarvestConfig.from_flags(experiment_type="all_activations", feature_dataset=name)
        layer = harvest(config).read(layer=3).reshape(n_sequences, n_positions, -1)

    With ``flatten_and_ignore_padding`` there is a row for every token; ``store.rows`` holds its
    sequence and position.
    """
    job = prepare_harvest(config)
    logger.info(job.summary())
    return run_harvest(job)


def run_harvest(job: Harvest) -> ActivationStore:
    """Write the open parts of this process; parts are written while the next is computed."""
    with torch_threads(job.config.forward_pass.n_threads):
        stores = begin_stores(job)
        passes = _passes(job, open_shares(job, stores))
        n_rows = sum(_n_rows(job, *one_pass) for one_pass in passes.items())
        with tqdm(total=n_rows, unit=" rows", desc="harvest", disable=None) as bar:
            for hook_points, parts in passes.items():
                _write_parts(job, stores, hook_points, parts, bar)
    return stores[job.config.activations.probe_location]


def _passes(job: Harvest, shares: dict[str, list[int]]) -> dict[tuple[str, ...], list[int]]:
    """Return the parts to compute for hook points together: those that are cut alike and lack the same parts."""
    lacking: dict[tuple[int, int], tuple[str, ...]] = {}
    for hook_point, parts in shares.items():
        for key in ((job.plans[hook_point].part_rows, part) for part in parts):
            lacking[key] = (*lacking.get(key, ()), hook_point)
    passes: dict[tuple[str, ...], list[int]] = {}
    for (_, part), hook_points in lacking.items():
        passes.setdefault(hook_points, []).append(part)
    return passes


def _n_rows(job: Harvest, hook_points: tuple[str, ...], parts: list[int]) -> int:
    spans = map(job.plans[hook_points[0]].part_range, parts)
    return sum(stop - start for start, stop in spans)


def _write_parts(job: Harvest, stores: Stores, hook_points: tuple[str, ...], parts: list[int], bar: tqdm) -> None:
    allocate, write = partial(allocate_part, job, hook_points), partial(_write_part, stores, hook_points)
    with PartWriter(allocate, write, min(WRITING_THREADS, job.config.forward_pass.n_threads)) as writer:

        def progress(n_rows: int) -> None:
            bar.update(n_rows)
            writer.check()

        for part, buffers in compute_parts(job, hook_points, parts, writer.buffers, progress):
            writer.submit(part, buffers)


def _write_part(stores: Stores, hook_points: tuple[str, ...], part: int, buffers: PartBuffers) -> None:
    for store in (stores[hook_point] for hook_point in hook_points):
        start, stop = store.plan.part_range(part)
        store.write_part(part, {key: buffers[key][: stop - start] for key in array_keys(store.plan)})
