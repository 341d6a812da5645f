"""What get_activations.py does with stores that stand: verify, describe, convert, merge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores import ActivationStore, open_store
from sparse_probing.activations.stores.convert import convert
from sparse_probing.activations.stores.describe import describe, number_ranges, show_ranges
from sparse_probing.activations.stores.format.blocks import REPAIR
from sparse_probing.activations.stores.merge import merge
from sparse_probing.activations.stores.storage.locations import StorePath, local_path, parse_place
from sparse_probing.activations.tables.result_folder import damaged_files, holds_tables, read_description
from sparse_probing.config import Precision, StoreKind

console = Console()


def verify_command(store: Positional[str]) -> None:
    """Check every file of a store, or of a folder of tables, against its checksum.

    Parameters
    ----------
    store : str
        Folder or URL of the store.
    """
    place = parse_place(store)
    if tables := _tables(place):
        _verify_tables(tables)
    else:
        _verify_store(place)


def describe_command(store: Positional[str], json: bool = False) -> None:
    """Say what is in a store, from what it was made, and how complete it is.

    Parameters
    ----------
    store : str
        Folder or URL of the store.
    json : bool
        Print JSON, with all that is known.
    """
    description = describe(_place_of_store(store))
    _say(description.to_json() if json else str(description))


def convert_command(
    source: Positional[str],
    destination: Positional[str],
    store: StoreKind = "zarr",
    output_precision: Precision | None = None,
) -> None:
    """Copy a complete store into another encoding, precision or place; run it again and it goes on.

    Parameters
    ----------
    source : str
        Folder or URL of a complete store.
    destination : str
        Folder or URL of the new store.
    store : {"zarr", "hdf5"}
        Encoding of the new store.
    output_precision : {"8", "16", "32", "bf16"}, optional
        Default that of the source.
    """
    convert(open_store(_place_of_store(source)), parse_place(destination), store, output_precision)
    _say(f"complete: {destination}")


def merge_command(stores: Positional[tuple[str, ...]]) -> None:
    """Join stores of one plan that each hold some of the parts; run it again and it goes on.

    Parameters
    ----------
    stores : tuple[str, ...]
        Folders or URLs: the sources, and last the joined store.
    """
    if len(stores) < 2:
        raise StoreError("merge takes the stores to join and then the joined store: SOURCE SOURCE ... DESTINATION.")
    *sources, destination = stores
    _say(_progress(merge([open_store(_place_of_store(source)) for source in sources], parse_place(destination))) + ".")


STORE_COMMANDS: dict[str, Callable[..., None]] = {
    "verify": verify_command,
    "describe": describe_command,
    "convert": convert_command,
    "merge": merge_command,
}


def _verify_store(place: StorePath) -> None:
    opened = open_store(place)
    damaged = opened.verify()
    for damage in damaged:
        _say(str(damage))
    if damaged:
        raise CorruptStoreError(f"{len(damaged)} files of {place} are damaged. {REPAIR}")
    _say(_progress(opened) + " and intact.")


def _verify_tables(folder: Path) -> None:
    damages, n_files = damaged_files(folder), len(read_description(folder)["files"])
    for name, reason in damages.items():
        _say(f"{folder / name}: {reason}")
    if damages:
        raise CorruptStoreError(
            f"{len(damages)} files of {folder} are damaged. Run get_activations.py with the settings of the tables and "
            "--resume: it makes the damaged ones again."
        )
    _say(f"{folder}: all {n_files} files of {_experiment(folder)} are there and intact.")


def _place_of_store(text: str) -> StorePath:
    """Return the place of a store; StoreError when tables are there instead."""
    place = parse_place(text)
    if tables := _tables(place):
        raise StoreError(
            f"{text} holds tables of experiment {_experiment(tables)}, not a store. Read them with "
            "pandas.read_parquet; get_activations.py verify checks them."
        )
    return place


def _tables(place: StorePath) -> Path | None:
    """Return the folder if there are tables; those are only ever on a disk of this machine."""
    local = local_path(place)
    return local if local is not None and holds_tables(local) else None


def _experiment(folder: Path) -> str:
    return read_description(folder)["config"]["experiment_type"]


def _progress(store: ActivationStore) -> str:
    missing, n_parts = store.open_parts(), store.plan.n_parts
    without = f" (missing: {show_ranges(number_ranges(missing))})" if missing else ""
    return f"{store.path}: {n_parts - len(missing)} of {n_parts} parts are there{without}"


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, highlight=False)
