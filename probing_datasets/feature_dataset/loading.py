"""Feature data sets on the disk: found by name, read and checked."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import FORMAT_VERSION, Description, FeatureInfo
from probing_datasets.feature_dataset.validation import validate
from probing_datasets.foundation.atomic_files import TEMPORARY_PREFIX
from probing_datasets.foundation.errors import DatasetError


def load_feature_dataset(name: str, root: Path) -> FeatureDataset:
    """Load a data set by its name (a folder below ``root``) or by its path, and check it.

    Raises
    ------
    DatasetError
        When it does not exist, was written by another version, or its content was changed.
    """
    path = _locate(name, root)
    try:
        description = _read_description(path)
        sequences = datasets.load_from_disk(path / "sequences")
        probes = datasets.load_from_disk(path / "probes")
        found = content_hash(description, sequences.data.table, probes.data.table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.lib.ArrowException) as error:
        raise DatasetError(f"The data set in {path} is damaged ({error}). Make it again.") from error
    if found != description.content_hash:
        raise DatasetError(f"The content of {path} is not what its description records. Make it again.")
    dataset = FeatureDataset(description, sequences, probes)  # type: ignore[arg-type]
    validate(dataset)
    return dataset


def _read_description(path: Path) -> Description:
    raw = json.loads((path / "description.json").read_text())
    if raw.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            f"The data set in {path} has format {raw.get('format_version')}, this version reads {FORMAT_VERSION}. "
            "Make it again."
        )
    features = {
        name: FeatureInfo(**{**info, "classes": tuple(info.get("classes", ()))})
        for name, info in raw["features"].items()
    }
    return Description(**{**raw, "features": features, "dropped": tuple(raw["dropped"])})


def dataset_names(root: Path) -> list[str]:
    """Return the names of the data sets in a folder."""
    names = (path.parent.name for path in root.glob("*/description.json"))
    return sorted(name for name in names if not name.startswith(TEMPORARY_PREFIX))


def _locate(name: str, root: Path) -> Path:
    for path in (root / name, Path(name).expanduser()):
        if (path / "description.json").is_file():
            return path
    known = dataset_names(root)
    has = f"it holds: {', '.join(known)}" if known else "it holds none"
    raise DatasetError(
        f"There is no feature data set {name!r} in {root} (FEATURE_DATASET_DIR); {has}. "
        "Make one with `python -m probing_datasets make`."
    )
