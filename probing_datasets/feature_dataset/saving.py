"""Saving a feature data set where no other stands."""

from __future__ import annotations

from pathlib import Path

from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError


def save_dataset(dataset: FeatureDataset, output_dir: Path, overwrite: bool) -> None:
    """Save a data set as ``<output_dir>/<name>``.

    Raises
    ------
    DatasetError
        When a data set of that name and other content stands there and ``overwrite`` is not set.
    """
    path = output_dir / dataset.name
    if not overwrite and (path / "description.json").is_file():
        _refuse_other_content(dataset, output_dir)
    dataset.save(path)


def _refuse_other_content(dataset: FeatureDataset, output_dir: Path) -> None:
    try:
        standing = load_feature_dataset(dataset.name, output_dir).description.content_hash
    except DatasetError:
        return
    if standing != dataset.description.content_hash:
        raise DatasetError(
            f"A data set of other content stands at {output_dir / dataset.name}, and activations may have been stored "
            "of it. Give --overwrite to replace it, or another --output_dir (FEATURE_DATASET_DIR)."
        )
