"""The feature data set: token sequences, and which of their positions have which labels.

Importing this package is fast: `datasets` and `pyarrow` are imported by the functions that need them.
"""

from probing_datasets.feature_dataset.construction import build_feature_dataset
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import (
    FORMAT_VERSION,
    Aggregation,
    Description,
    FeatureInfo,
    FeatureKind,
    Probes,
)
from probing_datasets.feature_dataset.load_and_save import dataset_names, load_feature_dataset, save_dataset
from probing_datasets.feature_dataset.validation import validate

__all__ = [
    "FORMAT_VERSION",
    "Aggregation",
    "Description",
    "FeatureDataset",
    "FeatureInfo",
    "FeatureKind",
    "Probes",
    "build_feature_dataset",
    "dataset_names",
    "load_feature_dataset",
    "save_dataset",
    "validate",
]
