"""Load published tables of ranked neurons, checked against their checksums."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pandas as pd

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import CorruptTableError, DamagedFileError, TableError, list_known
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.spreadsheet_cells import cell_text

CHECKSUMS = "SHA256SUMS"
TEXT_COLUMNS = ("model", "dataset", "feature", "aggregation", "hook_loc", "revision", "study")
INSTALLED = Path(__file__).parent / "published"
"""The tables that come with an installed package; in a clone they are in ``interpretable_neurons/``."""


def load_neurons(
    model: str,
    collection: str | None = None,
    feature: str | None = None,
    layer: int | None = None,
    folder: Path | str | None = None,
) -> pd.DataFrame:
    """Load the ranked neurons of a model.

    Parameters
    ----------
    model : str
        Name of the model, as its folder is called: ``demo``, ``demo+random0``.
    collection : str, optional
        Feature collection, such as ``natural_lang_id``, or the whole name of a feature data set.
    feature, layer : str, int, optional
        Only the neurons of this feature, of this layer.
    folder : path, optional
        Folder of the tables. Default: INTERPRETABLE_NEURONS_DIR where it exists, otherwise the tables that come
        with the package.

    Returns
    -------
    pandas.DataFrame
        One row per neuron and feature; ``interpretable_neurons/SCHEMA.md`` defines the columns.

    Raises
    ------
    TableError
        When there is no such model, collection, feature or layer; the message lists those that exist.
    CorruptTableError
        When a table does not have its checksum.
    """
    root = Path(folder) if folder is not None else _default_folder()
    sums = read_checksums(root)
    models = sorted({name.split("/")[0] for name in sums})
    if model not in models:
        raise TableError(f"There are no neurons of {model!r} in {root}. It has: {list_known(model, models)}.")
    names = [name for name in sums if name.split("/")[0] == model]
    if collection is not None:
        collections = {name: name.split("/")[1].split(".")[0] for name in names}
        names = [n for n in names if collections[n] == collection or n.split("/")[1].startswith(f"{collection}.")]
        if not names:
            has = list_known(collection, sorted(set(collections.values())))
            raise TableError(f"There are no neurons of {model!r} for {collection!r} in {root}. It has: {has}.")
    table = pd.concat([_read_table(root / name, sums[name]) for name in names], ignore_index=True)
    for column, value in (("feature", feature), ("layer", layer)):
        if value is not None:
            known = sorted(table[column].unique().tolist())
            table = table[table[column] == value]
            if table.empty:
                raise TableError(
                    f"No row has {column} {value!r}; there are: {list_known(str(value), map(str, known))}."
                )
    return table.reset_index(drop=True)


def _default_folder() -> Path:
    """Return INTERPRETABLE_NEURONS_DIR where it holds tables, otherwise those of the package or of the clone."""
    named = read_settings().interpretable_neurons_dir
    clone = Path(__file__).parents[2] / "interpretable_neurons"
    for folder in (named, INSTALLED, clone):
        if (folder / CHECKSUMS).is_file():
            return folder
    return named


def read_checksums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every table below a folder, by its name ``<model>/<file>``."""
    path = root / CHECKSUMS
    if not path.is_file():
        raise TableError(
            f"There is no {CHECKSUMS} in {root}, so it holds no published neurons. "
            "Pass another folder=, or set INTERPRETABLE_NEURONS_DIR."
        )
    sums: dict[str, str] = {}
    for line in path.read_bytes().splitlines():
        try:
            digest, _, name = line.decode().partition("  ")
            model, _, table = name.partition("/")
            if len(digest) != 64:
                raise ValueError("no SHA-256")
            sums[f"{path_name(model, CHECKSUMS)}/{path_name(table, CHECKSUMS)}"] = digest
        except (ValueError, DamagedFileError) as error:
            shown = line[:80].decode(errors="replace")
            raise CorruptTableError(
                f"{path} has a line that is not a checksum and a file: {shown!r}. Restore it, or delete it and export "
                "the runs again."
            ) from error
    return sums


def _read_table(path: Path, digest: str) -> pd.DataFrame:
    if not path.is_file():
        raise CorruptTableError(f"{path} is listed in {CHECKSUMS} and missing. Download the folder again.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorruptTableError(f"{path} does not have the checksum of {CHECKSUMS}. Download the file again.")
    header = pd.read_csv(io.BytesIO(content), nrows=0).columns
    # An empty cell is a missing number; a text such as "None" or "NA" may be the name of a feature.
    missing = {column: [""] for column in header if column not in TEXT_COLUMNS}
    table = pd.read_csv(
        io.BytesIO(content), keep_default_na=False, na_values=missing, dtype=dict.fromkeys(TEXT_COLUMNS, str)
    )
    for column in table.columns.intersection(TEXT_COLUMNS):
        table[column] = table[column].map(cell_text)
    return table
