"""Make a feature data set: the registry of collections and the one function behind the command."""

from __future__ import annotations

import logging
from collections.abc import Callable

from probing_datasets import language_id, text_features
from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError

logger = logging.getLogger(__name__)

COLLECTIONS: dict[str, Callable[[MakeConfig], FeatureDataset]] = {
    "natural_lang_id": language_id.build,
    "programming_lang_id": language_id.build,
    "text_features": text_features.build,
}
"""How each collection is built."""


def make_dataset(config: MakeConfig) -> FeatureDataset:
    """Build a feature data set and save it as ``<output_dir>/<name>``.

    Raises
    ------
    SourceError
        When the source is missing or lacks a column.
    ModelError
        When there is no such tokenizer.
    DatasetError
        When too little is left to probe, or a data set of that name and other content stands there
        and ``overwrite`` is not set.
    """
    dataset = COLLECTIONS[config.collection](config)
    for note in dataset.description.dropped:
        logger.warning(note)
    _refuse_to_replace(dataset, config)
    dataset.save(config.output_dir / dataset.name)
    return dataset


def _refuse_to_replace(dataset: FeatureDataset, config: MakeConfig) -> None:
    path = config.output_dir / dataset.name
    if config.overwrite or not (path / "description.json").is_file():
        return
    try:
        standing = load_feature_dataset(dataset.name, config.output_dir).description.content_hash
    except DatasetError:
        return
    if standing != dataset.description.content_hash:
        raise DatasetError(
            f"A data set of other content stands at {path}, and activations may have been stored of it. "
            "Give --overwrite to replace it, or another --output_dir (FEATURE_DATASET_DIR)."
        )
