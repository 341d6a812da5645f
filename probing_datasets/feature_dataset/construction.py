"""Build a feature data set from sequences and labelled positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import Description, FeatureInfo, FeatureKind, Probes
from probing_datasets.feature_dataset.validation import validate


def build_feature_dataset(
    description: Description,
    tokens: list[np.ndarray],
    groups: list[str],
    probes: dict[str, tuple[FeatureKind, Probes]],
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> FeatureDataset:
    """Build and validate a data set.

    Parameters
    ----------
    description : Description
        Its features, counts and hashes are filled in here.
    tokens : list of (length,) int32 arrays
        Sequences, special tokens included.
    groups : list of str
        Group of each sequence.
    probes : dict
        Kind and labelled positions of each feature.
    classes : dict, optional
        Names of the classes of multiclass features.

    Raises
    ------
    DatasetError
        When positions, labels or groups are not valid; see `validate`.
    """
    import datasets  # slow to import
    import pyarrow as pa

    # Sequences: one row each, the tokens as a list column.
    offsets = np.cumsum([0, *map(len, tokens)])
    token_ids = np.concatenate(tokens) if tokens else np.empty(0, np.int32)
    token_lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(token_ids, pa.int32()))
    sequence_table = pa.table({"tokens": token_lists, "group": pa.array(groups, pa.string())})

    # Probes: the rows of one feature after those of another, in the order of their names.
    probes = dict(sorted(probes.items()))
    features: dict[str, FeatureInfo] = {}
    start = 0
    for name, (kind, rows) in probes.items():
        stop = start + len(rows.label)
        labels, counts = np.unique(rows.label, return_counts=True)
        rows_of_label = {f"{label:g}": int(count) for label, count in zip(labels, counts, strict=True)}
        features[name] = FeatureInfo(
            kind, start, stop, {} if kind == "regression" else rows_of_label, (classes or {}).get(name, ())
        )
        start = stop
    columns = {}
    for name, dtype in {"sequence": pa.int64(), "position": pa.int32(), "label": pa.float32()}.items():
        of_features = [getattr(rows, name) for _, rows in probes.values()]
        columns[name] = pa.array(np.concatenate(of_features) if of_features else np.empty(0), dtype)
    probe_table = pa.table(columns)

    description = replace(description, features=features, n_sequences=len(tokens), n_tokens=sum(map(len, tokens)))
    digest = content_hash(description, sequence_table, probe_table)
    dataset = FeatureDataset(
        replace(description, content_hash=digest),
        datasets.Dataset(sequence_table, fingerprint=digest[:16]),
        datasets.Dataset(probe_table, fingerprint=digest[16:]),
    )
    validate(dataset)
    return dataset
