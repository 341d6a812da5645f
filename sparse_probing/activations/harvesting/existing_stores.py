"""The stores of a harvest: begun, gone on with, checked, or replaced."""

from __future__ import annotations

import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.harvesting.harvest_plan import Harvest, standing_header
from sparse_probing.activations.stores import STORES, ActivationStore, open_store
from sparse_probing.activations.stores.manifest.disk import check_free_space, required_bytes
from sparse_probing.activations.stores.manifest.header import HEADER, Header
from sparse_probing.activations.stores.manifest.provenance import write_provenance
from sparse_probing.activations.stores.manifest.row_index import ROWS, encode_rows, read_rows
from sparse_probing.activations.stores.repair import reopen_damaged_parts
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import file_exists, remove_tree

Stores = dict[str, ActivationStore]
"""By hook point."""


def begin_stores(job: Harvest) -> Stores:
    """Begin the store of every hook point, or go on with the one that stands.

    Of a store that stands, the finished parts of this process are looked at: those that lack a file
    or have one of another size, with ``--resume`` also those with another checksum, are open again.

    Raises
    ------
    StoreError
        When another store stands and ``--overwrite`` is not given, or the disk is too full.
    CorruptStoreError
        When a damaged file belongs to no part.
    """
    if job.config.storage.overwrite:
        for hook_point in job.plans:
            if other_stands(job, hook_point):
                remove_tree(job.path(hook_point))
    fresh = [hook_point for hook_point in job.plans if not file_exists(job.path(hook_point) / HEADER)]
    _check_space(job, {hook_point: job.share(range(job.plans[hook_point].n_parts)) for hook_point in fresh})
    stores = {hook_point: _begin(job, hook_point) for hook_point in job.plans}
    for store in stores.values():
        reopen_damaged_parts(store, job.share(range(store.plan.n_parts)), job.config.storage.resume)
    _check_space(job, open_shares(job, stores))
    return stores


def open_shares(job: Harvest, stores: Stores) -> dict[str, list[int]]:
    """Return the parts that this process has still to write, by hook point."""
    return {hook_point: job.share(store.open_parts()) for hook_point, store in stores.items()}


def other_stands(job: Harvest, hook_point: str) -> bool:
    """Whether a store stands that is not gone on with: of another plan, encoding or rows, or with no readable header.

    StoreError when its place cannot be reached.
    """
    if not file_exists(job.path(hook_point) / HEADER):
        return False
    header = standing_header(job.path(hook_point))
    if header is None or (header.kind, header.plan) != (job.config.storage.store, job.plans[hook_point]):
        return True
    return not _has_rows(job, hook_point, header)


def outcome(job: Harvest) -> str:
    """Say of every store whether it is complete, and where parts of other processes are missing."""
    return "\n".join(_outcome(job, open_store(job.path(hook_point))) for hook_point in job.plans)


def _outcome(job: Harvest, store: ActivationStore) -> str:
    if store.is_complete:
        return f"complete: {store.path}"
    return (
        f"process {job.config.share.rank} of {job.config.share.world_size} has done its share; other processes have "
        f"{len(store.open_parts())} of {store.plan.n_parts} parts to write: {store.path}"
    )


def _begin(job: Harvest, hook_point: str) -> ActivationStore:
    kind = STORES[job.config.storage.store]
    store = kind.create(job.path(hook_point), job.plans[hook_point], job.rows.sequence, job.rows.position)
    write_provenance(store.path, job.config.record())
    return store


def _has_rows(job: Harvest, hook_point: str, header: Header) -> bool:
    path, wanted = job.path(hook_point) / ROWS, (job.rows.sequence, job.rows.position)
    try:
        return all(map(np.array_equal, read_rows(path, header.files[ROWS]), wanted))
    except CorruptStoreError:  # the row index is written anew where that gives the recorded bytes
        return header.files[ROWS] == FileRecord.of(encode_rows(*wanted))


def _check_space(job: Harvest, parts: dict[str, list[int]]) -> None:
    needed = sum(required_bytes(job.plans[hook_point], len(some)) for hook_point, some in parts.items() if some)
    if needed:
        check_free_space(job.config.store_folder(), needed)
