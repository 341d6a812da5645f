"""A folder of result tables: its plan is written first, its description last, and it never mixes two plans."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from probing_datasets.foundation.errors import CorruptStoreError, DamagedFileError, StoreError
from probing_datasets.foundation.files.atomic_files import TEMPORARY_PREFIX
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.sealed_json import read_sealed, seal, write_sealed
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance
from sparse_probing.activations.stores.storage.checksums import FileRecord, Reason
from sparse_probing.activations.stores.storage.files import file_sizes, remove_file, write_new_file
from sparse_probing.activations.stores.storage.writers import WRITERS, claim_writing
from sparse_probing.activations.tables.recorded_files import RecordedFiles, writing_errors
from sparse_probing.config.share import ShareConfig

logger = logging.getLogger(__name__)

PLAN, DESCRIPTION = "plan.json", "description.json"
REMEDY = "Delete the folder and run the command again."


class Description(msgspec.Struct):
    """Shape of ``description.json``; a description may have further entries."""

    plan: dict[str, Any]
    config: dict[str, Any]
    versions: dict[str, Any]
    files: dict[str, FileRecord]

    @property
    def experiment_type(self) -> str:
        """The experiment type that made the tables."""
        return str(self.config.get("experiment_type", "unknown"))


@contextmanager
def claim_folder(folder: Path, plan: dict[str, Any], share: ShareConfig) -> Iterator[None]:
    """Claim the share of a process in a folder; see `claim_writing`."""
    with ExitStack() as claim:
        with writing_errors(folder.parent, folder):
            claim.enter_context(claim_writing(folder, digest_json(plan), share.rank, share.world_size))
        yield


def create_or_resume_folder(folder: Path, plan: dict[str, Any], *, overwrite: bool, resume: bool) -> None:
    """Record the plan of a folder, or check that an existing folder has the same plan.

    The files of a complete folder are checked: files that are missing or have another size, with ``resume``
    also files with another checksum, are removed, and the folder is incomplete again.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    plan : dict
        Everything that decides the numbers, as JSON.
    overwrite : bool
        Delete results with another plan.
    resume : bool
        Compare the files of a complete folder with their checksums, even if all have the right size.

    Raises
    ------
    StoreError
        When the folder holds results with another plan, or without a plan, and ``overwrite`` is not set; the
        message names what differs.
    CorruptStoreError
        When the plan or the description of the folder cannot be read.
    """
    differences = _differences(folder, plan)
    if differences and not overwrite:
        raise StoreError(
            f"Other results exist in {folder}: {'; '.join(differences)} (there -> requested). "
            "Choose another RESULTS_DIR, or replace them with --overwrite."
        )
    if differences:
        # The description is first and the plan last: a folder that is left by a kill is not complete, and refused
        # or replaced as before.
        remove_file(folder / DESCRIPTION)
        for path in sorted(folder.iterdir(), key=lambda path: path.name == PLAN):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif path.name != WRITERS:
                shutil.rmtree(path)
    folder.mkdir(parents=True, exist_ok=True)
    with writing_errors(folder, folder / PLAN):
        is_new = write_new_file(folder / PLAN, seal(plan))
    if not is_new and (differences := _differences(folder, plan)):  # another process was faster
        raise StoreError(f"Another process makes other results in {folder}: {'; '.join(differences)}.")
    if is_complete(folder):
        _reopen_damaged(folder, resume)


def is_complete(folder: Path) -> bool:
    """Whether all tables of a folder are written."""
    return (folder / DESCRIPTION).exists()


def holds_tables(folder: Path) -> bool:
    """Whether a folder holds result tables, complete or not, rather than a store."""
    if is_complete(folder):
        return True
    try:
        return "algorithm_version" in (_read_plan(folder) or {})
    except (OSError, CorruptStoreError):
        return False


def recorded_files(folder: Path, plan: dict[str, Any]) -> RecordedFiles:
    """Return the files of a folder with a plan."""
    return RecordedFiles(folder, digest_json(plan))


def read_description(folder: Path) -> Description:
    """Return the description of a folder; StoreError when it is incomplete, CorruptStoreError when damaged."""
    description = _read_description(folder)
    if description is None:
        raise StoreError(f"{folder} holds incomplete tables. Run the command that started them again.")
    return description


def damaged_files(folder: Path) -> dict[str, Reason]:
    """Return what is wrong with the damaged files of a complete folder, by name; errors as `read_description`."""
    description = read_description(folder)
    damages: dict[str, Reason | None] = {
        name: record.damage(folder / name) for name, record in description.files.items()
    }
    try:
        plan = _read_plan(folder)
    except CorruptStoreError:
        damages[PLAN] = "checksum differs"
    else:
        if plan != description.plan:
            damages[PLAN] = "missing" if plan is None else "checksum differs"
    return {name: reason for name, reason in damages.items() if reason}


def complete_folder(folder: Path, settings: dict[str, Any], tables: Iterable[str], content: dict[str, Any]) -> None:
    """Write the description of a folder, which marks it as complete.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    settings : dict
        The record of the configuration.
    tables : iterable of str
        Names of its files. Their lengths and checksums are those of their records, which were made when the files
        were written; so a file that was damaged since does not get a new record.
    content : dict
        Further entries of the description.

    Raises
    ------
    CorruptStoreError
        When a file has no valid record.
    """
    plan = _read_plan(folder) or {}
    files = recorded_files(folder, plan)
    records = {name: files.record(name) for name in tables}
    if missing := [name for name, record in records.items() if record is None]:
        raise CorruptStoreError(f"{folder / missing[0]} has no valid record. Run the same command again.")
    known = {name: record.to_json() for name, record in records.items() if record}
    description = {"plan": plan, "config": settings, "versions": provenance(), "files": known}
    with writing_errors(folder, folder / DESCRIPTION):
        write_sealed(folder / DESCRIPTION, {**description, **content})


def _differences(folder: Path, plan: dict[str, Any]) -> list[str]:
    """Return how the plan of an existing folder differs from a plan; nothing where there is no folder."""
    existing, description = _read_plan(folder), _read_description(folder)
    if existing is None:
        # A folder with nothing but temporary files is not in the way: another process may be writing its plan.
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        has_content = any(not name.startswith(TEMPORARY_PREFIX) for name in names - {WRITERS, PLAN})
        return [f"{PLAN}: missing -> the plan of these settings"] if has_content and PLAN not in names else []
    keys = sorted(existing.keys() | plan.keys())
    differences = [f"{k}: {existing.get(k)} -> {plan.get(k)}" for k in keys if existing.get(k) != plan.get(k)]
    if description is not None and description.plan != existing:
        differences.append(f"{DESCRIPTION}: of another plan -> of {PLAN}")
    return differences


def _reopen_damaged(folder: Path, compare_checksums: bool) -> None:
    """Remove damaged files and then the description; every file is read only where one is known to be damaged."""
    description = read_description(folder)
    sizes = {name: record.nbytes for name, record in description.files.items()}
    if file_sizes(folder, sizes) == sizes and not compare_checksums:
        return
    damages, files = damaged_files(folder), recorded_files(folder, description.plan)
    for name, reason in damages.items():
        logger.warning("%s is made again: %s", folder / name, reason)
        files.remove(name)
    if damages:  # last: until then the description records which files are missing
        remove_file(folder / DESCRIPTION)


def _read_plan(folder: Path) -> dict[str, Any] | None:
    return _read(folder / PLAN, dict[str, Any])


def _read_description(folder: Path) -> Description | None:
    description = _read(folder / DESCRIPTION, Description)
    try:
        for name in description.files if description else ():
            for component in name.split("/"):
                path_name(component, str(folder / DESCRIPTION))
    except DamagedFileError as error:
        raise CorruptStoreError(str(error)) from error
    return description


def _read(path: Path, shape: Any) -> Any:
    try:
        return read_sealed(path, shape, REMEDY)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise CorruptStoreError(str(error)) from error
