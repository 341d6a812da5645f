"""Feature data sets for tests, and views of their contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset import (
    Description,
    FeatureDataset,
    FeatureKind,
    Probes,
    build_feature_dataset,
)

DESCRIPTION = Description(
    name="made.tiny.16.-1",
    collection="made",
    tokenizer="tiny",
    tokenizer_hash="none",
    context_length=16,
    n_prefix=1,
    n_suffix=0,
    seed=0,
    source={"name": "test", "licence": "", "digest": ""},
    options={},
)


def binary_probes(labels: Mapping[tuple[int, int], float]) -> tuple[FeatureKind, Probes]:
    """Return a binary feature from its labels by (sequence, position)."""
    places = np.array(list(labels))
    return "binary", Probes(places[:, 0], places[:, 1], np.array(list(labels.values())))


def dataset_with_labels(
    features: Mapping[str, Mapping[tuple[int, int], float]],
    lengths: Sequence[int] = (5,) * 6,
    groups: Sequence[str] | None = None,
    **description: Any,
) -> FeatureDataset:
    """Build a data set ``d`` from labels of binary features by (sequence, position).

    The tokens of a sequence count from 0. By default two sequences are a group, the context has the length of the
    longest sequence, and there are no special tokens; ``description`` holds other fields of the description.
    """
    fields = {"name": "d", "context_length": max(lengths), "n_prefix": 0, **description}
    tokens = [np.arange(length, dtype=np.int32) for length in lengths]
    groups = groups or [f"g{i // 2}" for i in range(len(lengths))]
    probes = {name: binary_probes(labels) for name, labels in features.items()}
    return build_feature_dataset(replace(DESCRIPTION, **fields), tokens, list(groups), probes)


def rows_of(dataset: FeatureDataset, feature: str) -> list[tuple[int, int, float]]:
    """Return the (sequence, position, label) of every row of a feature."""
    probes = dataset.feature_probes(feature)
    return [(int(s), int(p), float(label)) for s, p, label in zip(*probes, strict=True)]


def places_of(dataset: FeatureDataset, feature: str, label: float) -> set[tuple[int, int]]:
    """Return the (sequence, position) of every row of a feature with this label."""
    return {(sequence, position) for sequence, position, value in rows_of(dataset, feature) if value == label}


def decoded_sequences(dataset: FeatureDataset, tokenizer_dir: Path, indices: Any = None) -> list[str]:
    """Return the text of sequences (all by default) without the special tokens around them."""
    d, tokenizer = dataset.description, load_tokenizer(str(tokenizer_dir))
    tokens = dataset.tokens(np.arange(d.n_sequences) if indices is None else indices)
    return [str(tokenizer.decode(t[d.n_prefix : len(t) - d.n_suffix])) for t in tokens]


def squeeze(text: str) -> str:
    """Return a text without spaces and line ends, which tokenizers treat in different ways."""
    return text.replace(" ", "").replace("\n", "")


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its path in the folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
