"""What the registry knows of a collection of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import MakeConfig


@dataclass(frozen=True)
class Collection:
    """A collection of features: what it is in one line, how it is built, and its settings."""

    summary: str
    """What is labelled, for lists and help."""
    build: Callable[[Any], FeatureDataset]
    """Makes the data set from an instance of ``config``, and saves nothing."""
    config: type[MakeConfig] = MakeConfig
    """Settings: the shared ones, or a dataclass that inherits them and adds its own."""
