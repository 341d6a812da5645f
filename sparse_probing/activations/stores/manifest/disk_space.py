"""Free space on the disk, failures to write, and temporary files that killed processes left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores.manifest.part_records import PARTS
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.files import file_sizes, free_space
from sparse_probing.activations.stores.storage.locations import StorePath, local_path
from sparse_probing.activations.stores.storage.writers import temporary_files

OVERHEAD = 1.01
"""Checksums and shard indices, relative to the values."""
ROW_INDEX_BYTES = 17
METADATA_BYTES = 2**20
STALE_SECONDS = 3600


def required_bytes(plan: StorePlan, n_parts: int | None = None) -> int:
    """Return an upper estimate of the disk space for ``n_parts`` parts (default all) with their metadata."""
    n_parts = plan.n_parts if n_parts is None else n_parts
    part_bytes = plan.part_rows * plan.bytes_per_row
    return int(n_parts * part_bytes * OVERHEAD) + plan.n_rows * ROW_INDEX_BYTES + METADATA_BYTES


def check_free_space(path: StorePath, needed: int) -> None:
    """Raise StoreError unless the disk of ``path`` has ``needed`` bytes free; behind a URL there is no such limit."""
    free = free_space(path)
    if free is not None and free < needed:
        raise StoreError(
            f"{path} needs {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free there. "
            "Free space, set RESULTS_DIR to a larger disk, or store fewer layers or a lower precision."
        )


@contextmanager
def storage_errors(root: StorePath, path: StorePath) -> Iterator[None]:
    """Turn an OSError while writing ``path`` of the store at ``root`` into a StoreError.

    Raises
    ------
    CorruptStoreError
        Before anything is written, when a link inside the store leads out of it.
    """
    check_inside(root, path)
    try:
        yield
    except OSError as error:
        n_finished = sum(name[0].isdigit() for name in file_sizes(root / PARTS))
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. Finished parts of the store are kept "
            f"({n_finished} so far). Free space or fix the cause, and run the same command again."
        ) from error


def check_inside(root: StorePath, path: StorePath) -> None:
    """Raise CorruptStoreError when a local ``path`` is not below ``root``, because a folder between them is a link."""
    folder, file = local_path(root), local_path(path)
    if folder is not None and file is not None and not file.parent.resolve().is_relative_to(folder.resolve()):
        raise CorruptStoreError(
            f"{path.parent} is a link to a folder outside of {root}. Nothing is written there: replace the link by a "
            "folder, or choose another place."
        )


def remove_stale_leftovers(root: StorePath) -> None:
    """Remove temporary files older than an hour; a younger one may belong to a running process."""
    if (folder := local_path(root)) is None:
        return
    oldest_live = time.time() - STALE_SECONDS
    for temporary in temporary_files(folder):
        try:
            if temporary.stat().st_mtime < oldest_live:
                temporary.unlink()
        except FileNotFoundError:
            continue
