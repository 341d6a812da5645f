"""Merge stores with the same plan that each hold some of the parts, harvested on different machines."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.store_operations.repair import reopen_damaged_copies
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.format.blocks import REPAIR
from sparse_probing.activations.stores.manifest.creation import check_same_plan, check_same_rows
from sparse_probing.activations.stores.manifest.disk_space import check_free_space, required_bytes, storage_errors
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import read_file, write_file
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.activations.stores.storage.writers import claim_writing


def merge(sources: Sequence[ActivationStore], destination: StorePath) -> ActivationStore:
    """Copy the finished parts of several stores into one; called again, it resumes and repairs damage.

    Parameters
    ----------
    sources : Sequence[ActivationStore]
        Stores of the same encoding, plan and rows. A part that several hold must have the same bytes.
    destination : StorePath
        Folder or URL of the merged store. It may be one of the sources, which then gets the parts of the others.

    Returns
    -------
    ActivationStore
        The merged store; it is complete when every part is finished in one of the sources.

    Raises
    ------
    StoreError
        When the sources differ in encoding, plan, rows or the content of a part, another store
        exists at ``destination``, or the disk is too full.
    CorruptStoreError
        When a file of a source is missing or has changed.
    """
    if not sources:
        raise StoreError("There is nothing to merge. Pass at least one store.")
    first = sources[0]
    for other in sources[1:]:
        if first.kind != other.kind:
            raise StoreError(
                f"{first.path} is a {first.kind} store and {other.path} a {other.kind} store. "
                "Complete one of them instead, or convert one when it is complete."
            )
        check_same_plan(first.path, first.plan, other.plan)
        check_same_rows(first.path, first.rows, other.rows)
    with claim_writing(destination, digest_json([first.kind, first.plan.to_json()])):
        store = STORES[first.kind].create(destination, first.plan, *first.rows)
        origins = {str(source.path): read_provenance(source.path) for source in sources}
        write_provenance(destination, {"merged_from": origins})
        reopen_damaged_copies(store)
        holders = _holders([store, *(source for source in sources if source.path != destination)])
        parts = [part for part in store.open_parts() if part in holders]
        check_free_space(destination, required_bytes(store.plan, len(parts)))
        for part in tqdm(parts, unit=" parts", desc="merge", disable=None):
            _copy_part(holders[part], store, part)
    return store


def _holders(stores: Sequence[ActivationStore]) -> dict[int, ActivationStore]:
    """Return the first store that holds each part; StoreError when another store holds it with other bytes."""
    holders: dict[int, ActivationStore] = {}
    for store in stores:
        for part in sorted(set(range(store.plan.n_parts)) - set(store.open_parts())):
            holder = holders.setdefault(part, store)
            if holder.part_record(part) != store.part_record(part):
                raise StoreError(
                    f"Part {part} differs between {holder.path} and {store.path}. Find out which one is right "
                    f"(verify names damaged files), and delete parts/{part:06d}.json of the other one."
                )
    return holders


def _copy_part(source: ActivationStore, store: ActivationStore, part: int) -> None:
    record = source.part_record(part) or {}
    for name, file in record.items():
        path = source.path / name
        try:
            data = read_file(path, file.nbytes)
        except (FileNotFoundError, ValueError):
            data = b""
        if FileRecord.of(data) != file:
            raise CorruptStoreError(
                f"Part {part}: {path} is {'damaged' if data else 'missing or empty'}. {REPAIR} Then merge again."
            )
        with storage_errors(store.path, store.path / name):
            write_file(store.path / name, data)
    store.record_part(part, record)
