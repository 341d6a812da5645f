"""A folder of result tables: its plan is written first, its description last, and it never mixes two plans."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probing_datasets.foundation.atomic_files import TEMPORARY_PREFIX, temporary_sibling, write_json
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.provenance import provenance
from sparse_probing.activations.stores.storage.checksums import FileRecord, Reason
from sparse_probing.activations.stores.storage.files import file_sizes, remove_file

logger = logging.getLogger(__name__)

PLAN, DESCRIPTION = "plan.json", "description.json"


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
    if differences:  # renamed first, so that a kill leaves the whole folder under its name, or nothing
        removed = temporary_sibling(folder)
        folder.replace(removed)
        shutil.rmtree(removed)
    if not (folder / PLAN).exists():
        write_json(folder / PLAN, plan)
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
        return "algorithm_version" in json.loads((folder / PLAN).read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of a folder; StoreError when it is incomplete, CorruptStoreError when damaged."""
    description = _read(folder / DESCRIPTION)
    if description is None:
        raise StoreError(f"{folder} holds incomplete tables. Run the command that started them again.")
    return description


def damaged_files(folder: Path) -> dict[str, Reason]:
    """Return what is wrong with the damaged files of a complete folder, by name; errors as `read_description`."""
    damages: dict[str, Reason | None] = {
        name: record.damage(folder / name) for name, record in _records(folder).items()
    }
    if _read(folder / PLAN) != read_description(folder)["plan"]:
        damages[PLAN] = "checksum differs" if (folder / PLAN).exists() else "missing"
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
        Names of its files; their lengths and checksums are recorded. The records of an earlier description
        are kept, so that a file that was damaged since does not get a new record.
    content : dict
        Further entries of the description.
    """
    known = _records(folder) if is_complete(folder) else {}
    records = {name: asdict(known.get(name) or FileRecord.of((folder / name).read_bytes())) for name in tables}
    plan = _read(folder / PLAN)
    description = {"plan": plan, "config": settings, "versions": provenance(), "files": records}
    write_json(folder / DESCRIPTION, {**description, **content})


def _differences(folder: Path, plan: dict[str, Any]) -> list[str]:
    """Return how the plan of an existing folder differs from a plan; nothing where there is no folder."""
    existing, description = _read(folder / PLAN), _read(folder / DESCRIPTION)
    if existing is None:
        # A folder with nothing but temporary files is not in the way: another process may be writing its plan.
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        has_content = PLAN not in names and any(not name.startswith(TEMPORARY_PREFIX) for name in names)
        return [f"{PLAN}: missing -> the plan of these settings"] if has_content else []
    keys = sorted(existing.keys() | plan.keys())
    differences = [f"{k}: {existing.get(k)} -> {plan.get(k)}" for k in keys if existing.get(k) != plan.get(k)]
    if description is not None and description.get("plan") != existing:
        differences.append(f"{DESCRIPTION}: of another plan -> of {PLAN}")
    return differences


def _reopen_damaged(folder: Path, compare_checksums: bool) -> None:
    """Remove damaged files and then the description; every file is read only where one is known to be damaged."""
    sizes = {name: record.nbytes for name, record in _records(folder).items()}
    if file_sizes(folder, sizes) == sizes and not compare_checksums:
        return
    damages = damaged_files(folder)
    for name, reason in damages.items():
        logger.warning("%s is made again: %s", folder / name, reason)
        remove_file(folder / name)
    if damages:  # last: until then the description records which files are missing
        remove_file(folder / DESCRIPTION)


def _records(folder: Path) -> dict[str, FileRecord]:
    return {name: FileRecord(**record) for name, record in read_description(folder)["files"].items()}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CorruptStoreError(f"{path} is damaged ({error}). Delete the folder and run the command again.") from error
