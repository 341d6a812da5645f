"""Folders of feature data sets: find one by its name, load and check it, save one without replacing another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import FORMAT_VERSION, Description
from probing_datasets.feature_dataset.validation import validate
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import DamagedFileError, DatasetError, first_names, list_known
from probing_datasets.foundation.files.atomic_files import TEMPORARY_PREFIX
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.regular_files import names_in, read_regular_file
from probing_datasets.foundation.files.saved_datasets import load_saved_dataset
from probing_datasets.foundation.files.sealed_json import parse_json, shaped, unseal

OTHER_NAME = (
    "Pass --name to give this one another name, --overwrite to replace the existing one, or another --output_dir "
    "(FEATURE_DATASET_DIR)."
)


def dataset_folder(root: Path, name: str) -> Path:
    """Return the folder of the data set of this name."""
    return root / name


def dataset_names(root: Path) -> list[str]:
    """Return the names of the data sets in a folder."""
    names = (path.parent.name for path in root.glob("*/description.json"))
    return sorted(name for name in names if not name.startswith(TEMPORARY_PREFIX))


def load_feature_dataset(name: str, root: Path | str | None = None) -> FeatureDataset:
    """Load a data set by its name (a folder below ``root``, by default FEATURE_DATASET_DIR) or by its path; check it.

    Raises
    ------
    DatasetError
        When it does not exist, was written by another version, or its content was changed.
    """
    path = find_dataset_folder(name, read_settings().feature_dataset_dir if root is None else root)
    import pyarrow as pa  # slow to import

    try:
        description = _read_description(path)
        sequences: Any = load_saved_dataset(path / "sequences")
        probes: Any = load_saved_dataset(path / "probes")
        digest = content_hash(description, sequences.data.table, probes.data.table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DamagedFileError, pa.lib.ArrowException) as error:
        raise DatasetError(f"The data set in {path} is damaged ({error}). Make it again.") from error
    if digest != description.content_hash:
        raise DatasetError(f"The content of {path} is not what its description records. Make it again.")
    dataset = FeatureDataset(description, sequences, probes)
    validate(dataset)
    return dataset


def save_dataset(dataset: FeatureDataset, root: Path, overwrite: bool) -> None:
    """Save a data set in its folder below ``root``.

    Raises
    ------
    DatasetError
        When this folder holds a data set of other content and ``overwrite`` is not set, or anything else. A damaged
        data set is replaced.
    DamagedFileError
        When the name of the data set cannot be that of a folder.
    """
    folder = dataset_folder(root, path_name(dataset.name, "The description of the data set"))
    if (names := names_in(folder)) and not {"description.json", "sequences", "probes"} & {*names}:
        raise DatasetError(f"{folder} is not a data set: it holds {first_names(names)}. Pass --name or --output_dir.")
    if not overwrite and (folder / "description.json").is_file():
        try:
            existing_hash = load_feature_dataset(dataset.name, root).description.content_hash
        except DatasetError:
            existing_hash = None  # nothing that could be read is lost
        if existing_hash not in (None, dataset.description.content_hash):
            raise DatasetError(
                f"{folder} holds a data set of other content, and activations of it may be stored. {OTHER_NAME}"
            )
    dataset.save(folder)


def refuse_other_settings(root: Path, name: str, options: dict[str, Any]) -> None:
    """Raise DatasetError when a data set of this name was made with other settings; a damaged one is not an obstacle.

    Parameters
    ----------
    root : Path
    name : str
    options : dict
        The settings that would make the data set, as its description would record them.
    """
    folder = dataset_folder(root, name)
    try:
        existing = _read_description(folder).options
    except (DatasetError, DamagedFileError, OSError, ValueError):
        return
    others = [
        f"--{key} {existing[key]!r}, now {value!r}"
        for key, value in options.items()
        if key in existing and existing[key] != value
    ]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise DatasetError(
            f"{folder} holds a data set that was made with other settings ({'; '.join(others[:3])}{more}), and "
            f"activations of it may be stored. {OTHER_NAME}"
        )


def _read_description(path: Path) -> Description:
    data = read_regular_file(path / "description.json")
    # Data sets that an earlier version made are not sealed; their fields are checked all the same.
    content = parse_json(data)
    if isinstance(content, dict) and content.keys() == {"content", "digest"}:
        content = unseal(data)
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        found = content.get("format_version") if isinstance(content, dict) else None
        raise DatasetError(
            f"The data set in {path} has format {found}, this version reads {FORMAT_VERSION}. Make it again."
        )
    description = shaped(content, Description)
    if unknown := content.keys() - vars(description).keys():
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    path_name(description.name, f"The description of {path}")
    return description


def find_dataset_folder(name: str, root: Path | str) -> Path:
    """Return the folder of a data set by its name or path; DatasetError when there is none."""
    root = Path(root)
    for path in (dataset_folder(root, name), Path(name).expanduser()):
        if (path / "description.json").is_file():
            return path
    existing = dataset_names(root)
    listing = f"it holds: {list_known(name, existing)}" if existing else "it holds none"
    raise DatasetError(
        f"There is no feature data set {name!r} in {root}; {listing}. Make one with `python -m probing_datasets make`, "
        "or name another folder (FEATURE_DATASET_DIR)."
    )
