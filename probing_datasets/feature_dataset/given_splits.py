"""A split that a table gives: for every sequence whether it is for training, validation or testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""What tables call the parts of a split, in lower case."""
COLUMN = "split"
NO_SPLIT = ""
"""What the column holds for the sequences of a merged data set that come from one without a split."""


def with_given_split(dataset: FeatureDataset, names: Sequence[str]) -> FeatureDataset:
    """Return the data set with a split, which stage 2 uses in place of a random one.

    Parameters
    ----------
    dataset : FeatureDataset
    names : sequence of str
        The name of the part of each sequence, one of `SPLIT_NAMES` in upper or lower case.

    Raises
    ------
    DatasetError
        When a name is not known, or no sequence is for training or none for testing.
    """
    import datasets  # slow to import
    import pyarrow as pa

    parts: list[SplitName | None] = [SPLIT_NAMES.get(name.strip().lower()) for name in names]
    if None in parts:
        unknown = names[parts.index(None)]
        raise DatasetError(f"--split_column holds {unknown!r}, which is not one of {', '.join(SPLIT_NAMES)}.")
    if "test" not in parts or set(parts) == {"test"}:
        raise DatasetError(f"--split_column has only {', '.join(sorted(set(names)))}: it needs train and test.")
    is_test = np.array([part == "test" for part in parts])
    codes = dataset.group_codes
    shared = np.intersect1d(codes[is_test], codes[~is_test])
    notes = dataset.description.dropped
    if len(shared):
        notes += (f"{len(shared):,} groups are on both sides of the given split: scores may be too high.",)
    table = dataset.sequences.data.table.append_column(COLUMN, pa.array(parts, pa.string()))
    digest = content_hash(dataset.description, table, dataset.probes.data.table)
    description = replace(dataset.description, content_hash=digest, dropped=notes)
    return replace(dataset, description=description, sequences=datasets.Dataset(table, fingerprint=digest[:16]))


def given_parts(dataset: FeatureDataset, sequences: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return (n,) the name of the part that each sequence is in, `NO_SPLIT` where no split is given for it."""
    if COLUMN not in dataset.sequences.column_names:
        return np.full(len(sequences), NO_SPLIT)
    return np.array(dataset.sequences.data.column(COLUMN).to_pylist(), np.str_)[sequences]


def in_given_test(dataset: FeatureDataset, sequences: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Return (n,) whether the given split has sequences for testing; None where no split is given for them.

    Those for validation are not: stage 2 chooses its settings on folds of all rows that are not for testing.
    """
    parts = given_parts(dataset, sequences)
    return None if (parts == NO_SPLIT).all() else parts == "test"
