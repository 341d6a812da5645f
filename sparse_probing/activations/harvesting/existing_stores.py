"""Create, resume, check or replace the stores of a harvest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.harvesting.prepare import PreparedHarvest, existing_header
from sparse_probing.activations.store_operations.repair import reopen_damaged_parts
from sparse_probing.activations.stores import STORES, ActivationStore, open_store
from sparse_probing.activations.stores.manifest.disk_space import check_free_space, required_bytes, storage_errors
from sparse_probing.activations.stores.manifest.plan_file import HEADER
from sparse_probing.activations.stores.manifest.provenance import write_provenance
from sparse_probing.activations.stores.manifest.row_index import ROWS, encode_rows, read_rows
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import file_exists, remove_tree
from sparse_probing.activations.stores.storage.writers import WRITERS, claim_writing

Stores = dict[str, ActivationStore]
"""By hook point."""


def create_or_resume_stores(prepared: PreparedHarvest) -> Stores:
    """Create the store of every hook point, or resume the existing one.

    The finished parts of this process in existing stores are checked: a part with a file that is missing
    or has another size, or with ``--resume`` another checksum, becomes unfinished.

    Raises
    ------
    StoreError
        When a store with another plan exists and ``--overwrite`` is not given, or the disk is too full.
    CorruptStoreError
        When a damaged file belongs to no part.
    """
    config, rows = prepared.config, prepared.rows
    if config.storage.overwrite:
        for hook_point in prepared.plans:
            if has_other_store(prepared, hook_point):
                remove_tree(prepared.path(hook_point), HEADER, WRITERS)
    new = [hook_point for hook_point in prepared.plans if not file_exists(prepared.path(hook_point) / HEADER)]
    _check_space(prepared, {hook_point: prepared.parts_of_process(hook_point) for hook_point in new})

    stores: Stores = {}
    for hook_point, plan in prepared.plans.items():
        path = prepared.path(hook_point)
        stores[hook_point] = STORES[config.storage.store].create(path, plan, rows.sequence, rows.position)
        write_provenance(path, config.record())
    for hook_point, store in stores.items():
        reopen_damaged_parts(store, prepared.parts_of_process(hook_point), config.storage.resume)
    _check_space(prepared, open_parts_of_process(prepared, stores))
    return stores


@contextmanager
def claim_stores(prepared: PreparedHarvest) -> Iterator[None]:
    """Claim the share of this process in every store that it will write to.

    Any number of processes may open stores at once whose parts are all finished.

    Raises
    ------
    StoreError
        When a living process writes the same share, or a store with other settings in the same place.
    """
    share = prepared.config.share
    with ExitStack() as claims:
        for hook_point, plan in prepared.plans.items():
            if not _is_finished(prepared, hook_point):
                digest = digest_json([prepared.config.storage.store, plan.to_json()])
                path = prepared.path(hook_point)
                with storage_errors(path, path / WRITERS):
                    claims.enter_context(claim_writing(path, digest, share.rank, share.world_size))
        yield


def _is_finished(prepared: PreparedHarvest, hook_point: str) -> bool:
    """Whether a store has every part of this process, in files of the right size, and nothing is to be checked."""
    path, storage = prepared.path(hook_point), prepared.config.storage
    if storage.resume or has_other_store(prepared, hook_point) or not file_exists(path / HEADER):
        return False
    try:
        store, parts = open_store(path), prepared.parts_of_process(hook_point)
        return not store.open_parts(parts) and not store.damaged_sizes(parts)
    except CorruptStoreError:
        return False


def open_parts_of_process(prepared: PreparedHarvest, stores: Stores) -> dict[str, list[int]]:
    """Return the parts that this process has still to write, by hook point."""
    return {hook_point: store.open_parts(prepared.parts_of_process(hook_point)) for hook_point, store in stores.items()}


def has_other_store(prepared: PreparedHarvest, hook_point: str) -> bool:
    """Whether there is a store that cannot be resumed: with another plan, encoding or rows, or no readable header.

    Raises
    ------
    StoreError
        When its place cannot be reached.
    """
    path, rows = prepared.path(hook_point), (prepared.rows.sequence, prepared.rows.position)
    if not file_exists(path / HEADER):
        return False
    header = existing_header(path)
    if header is None or (header.kind, header.plan) != (prepared.config.storage.store, prepared.plans[hook_point]):
        return True
    try:
        return not all(map(np.array_equal, read_rows(path / ROWS, header.files[ROWS], header.plan.n_rows), rows))
    except CorruptStoreError:  # a damaged row index is written again where that gives the recorded bytes
        return header.files[ROWS] != FileRecord.of(encode_rows(*rows))


def outcome(prepared: PreparedHarvest) -> str:
    """Return one line for every store: that it is complete, or how many parts other processes have still to write.

    Raises
    ------
    StoreError
        When this process was the only one, and a store is not complete.
    """
    lines = []
    share = prepared.config.share
    is_complete = True
    for hook_point in prepared.plans:
        store = open_store(prepared.path(hook_point))
        is_complete = is_complete and store.is_complete
        lines.append(
            f"complete: {store.path}"
            if store.is_complete
            else f"process {share.rank} of {share.world_size} has done its share; other processes have "
            f"{len(store.open_parts())} of {store.plan.n_parts} parts to write: {store.path}"
        )
    if share.world_size == 1 and not is_complete:
        raise StoreError("\n".join(lines) + "\nRun the same command again.")
    return "\n".join(lines)


def _check_space(prepared: PreparedHarvest, parts: Mapping[str, Iterable[int]]) -> None:
    """Raise StoreError unless there is room for parts, given by hook point."""
    numbers = {hook_point: len(list(of_hook_point)) for hook_point, of_hook_point in parts.items()}
    needed = sum(required_bytes(prepared.plans[hook_point], n) for hook_point, n in numbers.items() if n)
    if needed:
        check_free_space(prepared.config.store_folder(), needed)
