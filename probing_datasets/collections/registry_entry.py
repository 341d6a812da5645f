"""An entry of the registry of collections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import MakeConfig


@dataclass(frozen=True)
class Collection:
    """A collection of features: one line of description, the function that builds it, and the type of its settings."""

    summary: str
    """The labels, for lists and help."""
    build: Callable[[Any], FeatureDataset]
    """Builds the data set from an instance of ``config``, and does not save it."""
    config: type[MakeConfig] = MakeConfig
    """Settings: the shared ones, or a dataclass that inherits them and adds its own."""
