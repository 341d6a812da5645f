"""The sub-commands of get_activations.py for existing stores: verify, describe, convert, merge.

Importing this module is fast: what reads stores is imported by the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from probing_datasets.foundation.console import show
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.config import Precision, StoreKind

if TYPE_CHECKING:
    from sparse_probing.activations.stores import ActivationStore
    from sparse_probing.activations.stores.storage.locations import StorePath


def verify_command(store: Positional[str]) -> None:
    """Compare every file of a store, or of a folder of tables, with its checksum.

    Parameters
    ----------
    store : str
        Folder or URL of the store.
    """
    from sparse_probing.activations.stores import open_store
    from sparse_probing.activations.stores.format.blocks import REPAIR
    from sparse_probing.activations.stores.storage.locations import parse_place

    place = parse_place(store)
    if tables := _tables_folder(place):
        _verify_tables(tables)
        return
    opened = open_store(place)
    damages = opened.verify()
    for damage in damages:
        _print(str(damage))
    if damages:
        raise CorruptStoreError(f"{len(damages)} files of {place} are damaged. {REPAIR}")
    _print(_progress(opened) + " and intact.")


def describe_command(store: Positional[str], json: bool = False) -> None:
    """Show what is in a store, what it was made from, and how complete it is.

    Parameters
    ----------
    store : str
        Folder or URL of the store.
    json : bool
        Print all fields as JSON.
    """
    from sparse_probing.activations.store_operations.describe import describe

    description = describe(_place_of_store(store))
    _print(description.to_json() if json else str(description))


def convert_command(
    source: Positional[str],
    destination: Positional[str],
    store: StoreKind = "zarr",
    output_precision: Precision | None = None,
) -> None:
    """Copy a complete store into another encoding, precision or place; the same command resumes it.

    Parameters
    ----------
    source : str
        Folder or URL of a complete store.
    destination : str
        Folder or URL of the new store.
    store : {"zarr", "hdf5"}
        Encoding of the new store.
    output_precision : {"8", "16", "32", "bf16"}, optional
        Precision of the new store. Default: that of the source.
    """
    from sparse_probing.activations.store_operations.convert import convert
    from sparse_probing.activations.stores import open_store
    from sparse_probing.activations.stores.storage.locations import parse_place

    convert(open_store(_place_of_store(source)), parse_place(destination), store, output_precision)
    _print(f"complete: {destination}")


def merge_command(stores: Positional[tuple[str, ...]]) -> None:
    """Merge stores with the same plan that each hold some of the parts; the same command resumes it.

    Parameters
    ----------
    stores : tuple[str, ...]
        Folders or URLs: the sources, and last the merged store.
    """
    from sparse_probing.activations.store_operations.merge import merge
    from sparse_probing.activations.stores import open_store
    from sparse_probing.activations.stores.storage.locations import parse_place

    if len(stores) < 2:
        raise StoreError("merge takes the stores to merge and then the merged store: SOURCE SOURCE ... DESTINATION.")
    *sources, destination = stores
    merged = merge([open_store(_place_of_store(source)) for source in sources], parse_place(destination))
    _print(_progress(merged) + ".")


STORE_COMMANDS: dict[str, Callable[..., None]] = {
    "verify": verify_command,
    "describe": describe_command,
    "convert": convert_command,
    "merge": merge_command,
}


def _verify_tables(folder: Path) -> None:
    from sparse_probing.activations.tables.result_folder import damaged_files, read_description

    damages, n_files = damaged_files(folder), len(read_description(folder).files)
    for name, reason in damages.items():
        _print(f"{folder / name}: {reason}")
    if damages:
        raise CorruptStoreError(
            f"{len(damages)} files of {folder} are damaged. Run get_activations.py with the settings of the tables and "
            "--resume: it makes the damaged ones again."
        )
    _print(f"{folder}: all {n_files} files of {_experiment_type(folder)} exist and are intact.")


def _place_of_store(text: str) -> StorePath:
    """Return the place of a store; StoreError when it holds tables instead."""
    from sparse_probing.activations.stores.storage.locations import parse_place

    place = parse_place(text)
    if tables := _tables_folder(place):
        raise StoreError(
            f"{text} holds tables of experiment {_experiment_type(tables)}, not a store. Read them with "
            "pandas.read_parquet; get_activations.py verify checks them."
        )
    return place


def _tables_folder(place: StorePath) -> Path | None:
    """Return the folder when it holds tables, which are always on a disk of this machine; otherwise None."""
    from sparse_probing.activations.stores.storage.locations import local_path
    from sparse_probing.activations.tables.result_folder import holds_tables

    local = local_path(place)
    return local if local is not None and holds_tables(local) else None


def _experiment_type(folder: Path) -> str:
    from sparse_probing.activations.tables.result_folder import read_description

    return read_description(folder).experiment_type


def _progress(store: ActivationStore) -> str:
    from sparse_probing.activations.stores.number_ranges import number_ranges, show_ranges

    missing, n_parts = store.open_parts(), store.plan.n_parts
    missing_text = f" (missing: {show_ranges(number_ranges(missing))})" if missing else ""
    return f"{store.path}: {n_parts - len(missing)} of {n_parts} parts are there{missing_text}"


def _print(text: str) -> None:
    show(text)
