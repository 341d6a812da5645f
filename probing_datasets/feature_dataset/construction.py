"""Assembling a feature data set from sequences and labelled positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import datasets
import numpy as np
import pyarrow as pa

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import Description, FeatureInfo, FeatureKind, Probes
from probing_datasets.feature_dataset.validation import validate

Classes = Mapping[str, tuple[str, ...]]


def build_feature_dataset(
    description: Description,
    tokens: list[np.ndarray],
    groups: list[str],
    probes: dict[str, tuple[FeatureKind, Probes]],
    classes: Classes | None = None,
) -> FeatureDataset:
    """Assemble and validate a data set.

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
    probes = dict(sorted(probes.items()))
    sequences, table = _sequence_table(tokens, groups), _probe_table([rows for _, rows in probes.values()])
    filled = replace(
        description,
        features=_feature_infos(probes, classes or {}),
        n_sequences=len(tokens),
        n_tokens=sum(map(len, tokens)),
    )
    digest = content_hash(filled, sequences, table)
    dataset = FeatureDataset(
        replace(filled, content_hash=digest),
        datasets.Dataset(sequences, fingerprint=digest[:16]),
        datasets.Dataset(table, fingerprint=digest[16:]),
    )
    validate(dataset)
    return dataset


def _sequence_table(tokens: list[np.ndarray], groups: list[str]) -> pa.Table:
    offsets = np.cumsum([0, *map(len, tokens)])
    flat = np.concatenate(tokens) if tokens else np.empty(0, np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int32()))
    return pa.table({"tokens": column, "group": pa.array(groups, pa.string())})


def _probe_table(probes: list[Probes]) -> pa.Table:
    types = {"sequence": pa.int64(), "position": pa.int32(), "label": pa.float32()}
    columns = {
        name: np.concatenate([getattr(rows, name) for rows in probes]) if probes else np.empty(0) for name in types
    }
    return pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})


def _feature_infos(probes: dict[str, tuple[FeatureKind, Probes]], classes: Classes) -> dict[str, FeatureInfo]:
    infos, start = {}, 0
    for name, (kind, rows) in probes.items():
        values, counts = np.unique(rows.label, return_counts=True)
        by_label = {} if kind == "regression" else {f"{v:g}": int(c) for v, c in zip(values, counts, strict=True)}
        infos[name] = FeatureInfo(kind, start, start + len(rows.label), by_label, classes.get(name, ()))
        start += len(rows.label)
    return infos
