"""Whether a review is positive or negative: the collection ``sentiment``.

A positive is a text that its author, or the site it was published on, marked as favourable. Identical
texts are one group.

References
----------
Maas et al. (2011), Learning Word Vectors for Sentiment Analysis (IMDB); Pang & Lee (2004, 2005).
"""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Suppress

from probing_datasets.collections import labelled_text
from probing_datasets.collections.labelled_text import LabelledTextConfig
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import CollectionName


@dataclass(frozen=True)
class SentimentConfig(LabelledTextConfig):
    """Whether a review is positive."""

    collection: Suppress[CollectionName] = "sentiment"
    source: str = "stanfordnlp/imdb"
    """A table of reviews, or a hub data set; labels are 0 and 1, or `negative` and `positive`."""


def build(config: SentimentConfig) -> FeatureDataset:
    """Build the feature ``sentiment``; raises the errors of `labelled_text.build`."""
    return labelled_text.build(config, ("sentiment", *config.further_labels))
