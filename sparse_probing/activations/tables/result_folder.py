"""A folder of result tables: begun with its plan, finished with its description, never mixed."""

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
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

PLAN, DESCRIPTION = "plan.json", "description.json"


def begin_folder(folder: Path, plan: dict[str, Any], *, overwrite: bool, resume: bool) -> None:
    """Record the plan of a folder, or check that the one that stands is the same.

    Of a finished folder the files are looked at: when one is missing or has another size, with ``resume`` when
    one has another checksum, the damaged ones are removed and the folder is open again.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    plan : dict
        Everything that decides the numbers, as JSON.
    overwrite : bool
        Delete results of another plan.
    resume : bool
        Check the files of a finished folder against their checksums, even if all have the right size.

    Raises
    ------
    StoreError
        When results of another plan, or of none, stand there and are not to be deleted; the message says what differs.
    CorruptStoreError
        When the plan or the description that stands there cannot be read.
    """
    differences = _differences(folder, plan)
    if differences and not overwrite:
        raise StoreError(
            f"Other results stand in {folder}: {'; '.join(differences)} (there -> asked for). "
            "Choose another RESULTS_DIR, or replace them with --overwrite."
        )
    if differences:
        _remove(folder)
    if not (folder / PLAN).exists():
        write_json(folder / PLAN, plan)
    if is_finished(folder):
        _reopen_damaged(folder, resume)


def is_finished(folder: Path) -> bool:
    """Whether all tables of a folder are written."""
    return (folder / DESCRIPTION).exists()


def holds_tables(folder: Path) -> bool:
    """Whether a folder is one of result tables, finished or not, rather than a store."""
    if is_finished(folder):
        return True
    try:
        return "algorithm_version" in json.loads((folder / PLAN).read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of a folder; StoreError when it is unfinished, CorruptStoreError when damaged."""
    description = _read(folder / DESCRIPTION)
    if description is None:
        raise StoreError(f"{folder} holds unfinished tables. Run the command that began them again to complete them.")
    return description


def damaged_files(folder: Path) -> dict[str, Reason]:
    """Return what is wrong with files of a finished folder, by name; errors as `read_description`."""
    damages: dict[str, Reason | None] = {
        name: record.damage(folder / name) for name, record in _records(folder).items()
    }
    if _read(folder / PLAN) != read_description(folder)["plan"]:
        damages[PLAN] = "checksum differs" if (folder / PLAN).exists() else "missing"
    return {name: reason for name, reason in damages.items() if reason}


def finish_folder(folder: Path, config: HarvestConfig, tables: Iterable[str], content: dict[str, Any]) -> None:
    """Write the description of a folder, which says that it is complete.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    config : HarvestConfig
        Settings to record.
    tables : iterable of str
        Names of its files; their lengths and checksums are recorded. What an earlier description recorded
        is kept, so that a file that was damaged since does not pass as whole.
    content : dict
        What else a reader has to know.
    """
    known = _records(folder) if is_finished(folder) else {}
    records = {name: asdict(known.get(name) or FileRecord.of((folder / name).read_bytes())) for name in tables}
    plan = json.loads((folder / PLAN).read_text())
    description = {"plan": plan, "config": config.record(), "versions": provenance(), "files": records}
    write_json(folder / DESCRIPTION, {**description, **content})


def _differences(folder: Path, plan: dict[str, Any]) -> list[str]:
    standing, description = _read(folder / PLAN), _read(folder / DESCRIPTION)
    if standing is None:
        return [f"{PLAN}: missing -> that of these settings"] if _has_content(folder) else []
    keys = sorted(standing.keys() | plan.keys())
    differences = [f"{k}: {standing.get(k)} -> {plan.get(k)}" for k in keys if standing.get(k) != plan.get(k)]
    if description is not None and description.get("plan") != standing:
        differences.append(f"{DESCRIPTION}: of another plan -> of {PLAN}")
    return differences


def _has_content(folder: Path) -> bool:
    """Whether anything stands in a folder without a plan; another process may be writing its plan just now."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return PLAN not in names and any(not name.startswith(TEMPORARY_PREFIX) for name in names)


def _remove(folder: Path) -> None:
    """Remove a folder so that a kill leaves all of it under its name, or nothing."""
    old = temporary_sibling(folder)
    folder.replace(old)
    shutil.rmtree(old)


def _reopen_damaged(folder: Path, thorough: bool) -> None:
    sizes = {name: record.nbytes for name, record in _records(folder).items()}
    if file_sizes(folder, sizes) == sizes and not thorough:
        return
    damages = damaged_files(folder)
    for name, reason in damages.items():
        logger.warning("%s is made again: %s", folder / name, reason)
        remove_file(folder / name)
    if damages:  # last: until then the description says what is missing
        remove_file(folder / DESCRIPTION)


def _records(folder: Path) -> dict[str, FileRecord]:
    return {name: FileRecord(**record) for name, record in read_description(folder)["files"].items()}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CorruptStoreError(f"{path} is damaged ({error}). Delete the folder and start anew.") from error
