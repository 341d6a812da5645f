"""Create a store, or resume an existing one with the same plan and rows."""

from __future__ import annotations

import logging

import numpy as np

from probing_datasets.foundation.errors import StoreError
from probing_datasets.foundation.files.sealed_json import seal
from sparse_probing.activations.stores.manifest.disk_space import remove_stale_leftovers, storage_errors
from sparse_probing.activations.stores.manifest.part_records import PARTS
from sparse_probing.activations.stores.manifest.plan_file import HEADER, Header
from sparse_probing.activations.stores.manifest.row_index import RowIndex
from sparse_probing.activations.stores.plan import StorePlan, plan_differences
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import file_exists, write_file, write_new_file
from sparse_probing.activations.stores.storage.locations import StorePath, is_local

logger = logging.getLogger(__name__)

REMEDY = "Choose another RESULTS_DIR, or replace the store with --overwrite."


def create_or_resume(root: StorePath, kind: str, plan: StorePlan, files: dict[str, bytes]) -> None:
    """Write the metadata files and then the header of a store, or check the header of the existing one.

    Parameters
    ----------
    root : StorePath
        Folder or URL of the store.
    kind : str
        The encoding.
    plan : StorePlan
        The plan of the store.
    files : dict[str, bytes]
        Row index and metadata by name, files in deeper folders first.

    Raises
    ------
    StoreError
        When the existing store has another plan (the message names what differs), or a file cannot be written.
    CorruptStoreError
        When the header of the existing store was edited.
    """
    records = {name: FileRecord.of(data) for name, data in files.items()}
    if not file_exists(root / HEADER):
        with storage_errors(root, root / PARTS):
            if is_local(root):  # an object store has no folders
                (root / PARTS).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write(root, name, data)
        with storage_errors(root, root / HEADER):  # of several processes, one decides the plan
            write_new_file(root / HEADER, seal(Header(kind, plan, records).to_json()))
    existing = Header.read(root, kind)
    check_same_plan(root, existing.plan, plan)
    for name, data in files.items():
        if records[name] == existing.files.get(name) and records[name].damage(root / name):
            logger.warning("Writing %s again: it was damaged", root / name)
            _write(root, name, data)
    remove_stale_leftovers(root)


def check_same_plan(root: StorePath, existing: StorePlan, requested: StorePlan) -> None:
    """Raise StoreError, naming what differs, when the store at ``root`` has another plan than the requested one."""
    if differences := plan_differences(existing, requested):
        raise StoreError(f"Another store exists at {root}: {'; '.join(differences)} (stored -> requested). {REMEDY}")


def check_same_rows(root: StorePath, existing: RowIndex, requested: RowIndex) -> None:
    """Raise StoreError when the rows of the store at ``root`` are other tokens than the requested ones."""
    if not all(map(np.array_equal, existing, requested)):
        raise StoreError(f"The rows of the store at {root} are other tokens than the requested ones. {REMEDY}")


def _write(root: StorePath, name: str, data: bytes) -> None:
    with storage_errors(root, root / name):
        write_file(root / name, data)
