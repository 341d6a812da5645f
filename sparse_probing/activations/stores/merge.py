"""Joining stores of one plan that each hold some of the parts, harvested on different machines."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.format.blocks import REPAIR
from sparse_probing.activations.stores.manifest.creation import check_same_plan, check_same_rows
from sparse_probing.activations.stores.manifest.disk import check_free_space, required_bytes, storage_errors
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.repair import reopen_damaged_copies
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import file_exists, read_file, write_file
from sparse_probing.activations.stores.storage.locations import StorePath


def merge(sources: Sequence[ActivationStore], destination: StorePath) -> ActivationStore:
    """Copy the finished parts of several stores into one; called again, it goes on, and mends damage.

    Parameters
    ----------
    sources : Sequence[ActivationStore]
        Stores of the same encoding, plan and rows. A part that several hold must have the same bytes.
    destination : StorePath
        Folder or URL of the joined store; it may be that of a source, which then takes in the others.

    Returns
    -------
    ActivationStore
        The joined store; it is complete when every part was finished in one of the sources.

    Raises
    ------
    StoreError
        When the sources differ in encoding, plan, rows or the content of a part, another store
        stands at ``destination``, or the disk is too full.
    CorruptStoreError
        When a file of a source is not as it was written.
    """
    if not sources:
        raise StoreError("There is nothing to merge. Name at least one store.")
    first = sources[0]
    for other in sources[1:]:
        _check_alike(first, other)
    store = STORES[first.kind].create(destination, first.plan, *first.rows)
    origins = {str(source.path): read_provenance(source.path) for source in sources}
    write_provenance(destination, {"merged_from": origins})
    reopen_damaged_copies(store)
    holders = _holders([store, *(source for source in sources if source.path != destination)])
    wanted = [part for part in store.open_parts() if part in holders]
    check_free_space(destination, required_bytes(store.plan, len(wanted)))
    for part in tqdm(wanted, unit=" parts", desc="merge", disable=None):
        _copy_part(holders[part], store, part)
    return store


def _check_alike(first: ActivationStore, other: ActivationStore) -> None:
    if first.kind != other.kind:
        raise StoreError(
            f"{first.path} is a {first.kind} store and {other.path} a {other.kind} store. "
            "Complete one of them instead, or convert it after it is complete."
        )
    check_same_plan(first.path, first.plan, other.plan)
    check_same_rows(first.path, first.rows, other.rows)


def _holders(stores: Sequence[ActivationStore]) -> dict[int, ActivationStore]:
    """Return the first store that has each part; StoreError when another has it with other bytes."""
    holders: dict[int, ActivationStore] = {}
    for store in stores:
        for part in sorted(set(range(store.plan.n_parts)) - set(store.open_parts())):
            holder = holders.setdefault(part, store)
            if holder.part_record(part) != store.part_record(part):
                raise StoreError(
                    f"Part {part} in {holder.path} and in {store.path} has other values. Find out which is right "
                    f"(verify names damaged files), and delete parts/{part:06d}.json of the other."
                )
    return holders


def _copy_part(source: ActivationStore, store: ActivationStore, part: int) -> None:
    record = source.part_record(part) or {}
    for name, file in record.items():
        data = _read_checked(source.path / name, part, file)
        with storage_errors(store.path, store.path / name):
            write_file(store.path / name, data)
    store.record_part(part, record)


def _read_checked(path: StorePath, part: int, record: FileRecord) -> bytes:
    data = read_file(path) if file_exists(path) else b""
    if FileRecord.of(data) != record:
        raise CorruptStoreError(
            f"Part {part}: {path} is {'damaged' if data else 'missing or empty'}. {REPAIR} Then merge again."
        )
    return data
