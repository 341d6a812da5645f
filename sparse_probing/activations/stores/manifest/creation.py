"""Beginning a store, and resuming the one that stands."""

from __future__ import annotations

import logging

import numpy as np

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.manifest.disk import remove_stale_leftovers, storage_errors
from sparse_probing.activations.stores.manifest.header import HEADER, Header
from sparse_probing.activations.stores.manifest.part_records import PARTS
from sparse_probing.activations.stores.manifest.row_index import RowIndex
from sparse_probing.activations.stores.plan import StorePlan, plan_differences
from sparse_probing.activations.stores.storage.checksums import FileRecord, seal
from sparse_probing.activations.stores.storage.files import file_exists, write_file
from sparse_probing.activations.stores.storage.locations import StorePath, is_local

logger = logging.getLogger(__name__)

REMEDY = "Choose another RESULTS_DIR, or replace the store with --overwrite."


def begin_or_resume(root: StorePath, kind: str, plan: StorePlan, files: dict[str, bytes]) -> None:
    """Write the metadata files and then the header, or check the header that stands.

    Parameters
    ----------
    root : StorePath
        Folder or URL of the store.
    kind : str
        The encoding.
    plan : StorePlan
        The plan asked for.
    files : dict[str, bytes]
        Row index and metadata by name, those in deeper folders first.

    Raises
    ------
    StoreError
        When another plan stands, naming what differs, or on a failure to write.
    """
    if file_exists(root / HEADER):
        standing = Header.read(root, kind)
        check_same_plan(root, standing.plan, plan)
        _mend(root, standing, files)
    else:
        header = Header(kind, plan, {name: FileRecord.of(data) for name, data in files.items()})
        _begin(root, {**files, HEADER: seal(header.to_json())})
    remove_stale_leftovers(root)


def check_same_plan(root: StorePath, standing: StorePlan, wanted: StorePlan) -> None:
    """Raise StoreError, naming what differs, when the store at ``root`` was planned otherwise."""
    if differences := plan_differences(standing, wanted):
        raise StoreError(f"Another store stands at {root}: {'; '.join(differences)} (stored -> asked for). {REMEDY}")


def check_same_rows(root: StorePath, standing: RowIndex, wanted: RowIndex) -> None:
    """Raise StoreError when the rows of the store at ``root`` are other tokens."""
    if not all(map(np.array_equal, standing, wanted)):
        raise StoreError(f"The rows of the store at {root} are other tokens than those asked for. {REMEDY}")


def _begin(root: StorePath, files: dict[str, bytes]) -> None:
    with storage_errors(root, root / PARTS):
        if is_local(root):  # an object store has no folders
            (root / PARTS).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        _write(root, name, data)


def _mend(root: StorePath, header: Header, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        record = FileRecord.of(data)
        if record == header.files.get(name) and record.damage(root / name):
            logger.warning("Writing %s again: it was damaged", root / name)
            _write(root, name, data)


def _write(root: StorePath, name: str, data: bytes) -> None:
    with storage_errors(root, root / name):
        write_file(root / name, data)
