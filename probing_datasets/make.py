"""Make a feature data set: the registry of collections and the one function behind the command."""

from __future__ import annotations

import logging
from collections.abc import Callable

from probing_datasets import language_id, text_features
from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import FeatureDataset

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
        When too little is left to probe.
    """
    dataset = COLLECTIONS[config.collection](config)
    for note in dataset.description.dropped:
        logger.warning(note)
    dataset.save(config.output_dir / dataset.name)
    return dataset
