"""Folders that `save_to_disk` of the library `datasets` wrote: what their files name is checked before it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probing_datasets.foundation.errors import DamagedFileError, first_line
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.regular_files import open_regular_file, read_regular_file
from probing_datasets.foundation.files.sealed_json import parse_json

if TYPE_CHECKING:
    import datasets

SPLITS_FILE, INFO_FILE, STATE_FILE = "dataset_dict.json", "dataset_info.json", "state.json"


def is_saved_dataset(path: Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote this folder."""
    return (path / SPLITS_FILE).is_file() or all((path / name).is_file() for name in (INFO_FILE, STATE_FILE))


def load_saved_dataset(path: Path) -> datasets.Dataset | datasets.DatasetDict:
    """Load a data set, or one of several splits, that `save_to_disk` wrote.

    Every split and file that it names is a regular file in its folder: a pipe would be waited for.

    Raises
    ------
    DamagedFileError
        When the folder is not what `save_to_disk` writes; the message is the reason.
    """
    import datasets  # slow to import

    try:
        folders = [path]
        if (path / SPLITS_FILE).exists():
            splits = parse_json(read_regular_file(path / SPLITS_FILE))["splits"]
            folders = [path / path_name(str(split), SPLITS_FILE) for split in splits]
        for folder in folders:
            parse_json(read_regular_file(folder / INFO_FILE))
            files = parse_json(read_regular_file(folder / STATE_FILE))["_data_files"]
            if not files:
                raise ValueError(f"{STATE_FILE} names no files")
            for file in files:
                open_regular_file(folder / path_name(str(file["filename"]), STATE_FILE)).close()
        return datasets.load_from_disk(path)
    except Exception as error:  # of any kind: `datasets` uses what a damaged file holds
        raise DamagedFileError(first_line(error)) from error
