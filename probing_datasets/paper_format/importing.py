"""Taking over a data set that the paper's authors published: padding off, positions and labels kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import xxhash
from tyro.conf import Positional

from probing_datasets.building.tokenization import load_tokenizer, tokenizer_hash
from probing_datasets.feature_dataset import Description, FeatureDataset, build_feature_dataset
from probing_datasets.feature_dataset.saving import save_dataset
from probing_datasets.foundation.errors import DatasetError, SettingsError, SourceError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.foundation.settings import read_settings
from probing_datasets.paper_format.layouts import TEXT_LENGTH, Features, read_features

UNGROUPED = (
    "Nothing says which sequences are of one document: each is a group of its own, and scores may be too good. "
    "Name a column with --group_column where there is one."
)


@dataclass(frozen=True)
class ImportConfig:
    """Take over a data set that the paper's authors published (a folder that `datasets` saved)."""

    path: Positional[Path]
    """Folder of the data set."""
    tokenizer: str
    """The tokenizer its tokens are of: a local model folder, a TransformerLens alias or a hub id."""
    revision: str | None = None
    """Revision of a tokenizer on the hub."""
    name: str = ""
    """Name of the data set; default: that of the folder, which the paper writes as ours are."""
    group_column: str = ""
    """What must not be split between training and test rows; empty: every sequence is a group of its own."""
    licence: str = ""
    """Licence of the source, for the record."""
    output_dir: Path = field(default_factory=lambda: read_settings().feature_dataset_dir)
    """FEATURE_DATASET_DIR"""
    overwrite: bool = False
    """Replace a data set of other content that has the same name."""


def import_dataset(config: ImportConfig) -> FeatureDataset:
    """Read a published data set and save it as ``<output_dir>/<name>``.

    Raises
    ------
    SourceError
        When there is no data set in the folder, or it has no tokens.
    DatasetError
        When its columns are those of no known layout, or its labels are not valid.
    SettingsError
        When tokens lie outside the vocabulary of the tokenizer.
    """
    table = _read_table(config.path)
    tokenizer = load_tokenizer(config.tokenizer, config.revision)
    padded = [row.astype(np.int32) for row in table.column("tokens").to_numpy(zero_copy_only=False)]
    ends: tuple[Any, ...] = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    lengths = _text_lengths(padded, [i for i in ends if i is not None], len(tokenizer))
    features = read_features(table.append_column(TEXT_LENGTH, pa.array(lengths)), str(config.path))
    tokens = _without_padding(padded, lengths, features)
    if max(int(row.max()) for row in tokens) >= len(tokenizer):
        raise SettingsError(f"{config.path} has tokens beyond the vocabulary of {config.tokenizer}. Check --tokenizer.")
    starts_with_bos = all(row[0] == tokenizer.bos_token_id for row in tokens)
    description = _describe(config, tokenizer_hash(tokenizer), padded, int(starts_with_bos))
    dataset = build_feature_dataset(description, tokens, _groups(config, table), features)
    save_dataset(dataset, config.output_dir, config.overwrite)
    return dataset


def _read_table(path: Path) -> pa.Table:
    try:
        dataset = datasets.load_from_disk(path)
    except (OSError, ValueError, KeyError, pa.lib.ArrowException) as error:
        raise SourceError(f"{path} is no folder that `datasets` saved: {error}") from error
    if not isinstance(dataset, datasets.Dataset) or "tokens" not in dataset.column_names or not len(dataset):
        raise SourceError(f"{path} is no data set of the paper: it has no column of tokens, or no row.")
    return dataset.with_format("arrow")[:]  # type: ignore[return-value]


def _text_lengths(padded: list[np.ndarray], pad_ids: list[int], vocabulary_size: int) -> np.ndarray:
    """Return how many tokens of each sequence stand before its padding, at least one.

    The paper pads with the tokenizer's padding token, or with an id that it adds to the vocabulary.
    """
    is_text = (~np.isin(row, pad_ids) & (row < vocabulary_size) for row in padded)
    return np.array([int(np.flatnonzero(text).max(initial=0)) + 1 for text in is_text], np.int64)


def _without_padding(padded: list[np.ndarray], lengths: np.ndarray, features: Features) -> list[np.ndarray]:
    """Cut the padding off each sequence, but for tokens that are probed."""
    needed = lengths.copy()
    for _, probes in features.values():
        np.maximum.at(needed, probes.sequence, probes.position + 1)
    return [row[:length] for row, length in zip(padded, needed.tolist(), strict=True)]


def _groups(config: ImportConfig, table: pa.Table) -> list[str]:
    if not config.group_column:
        return [f"row {i}" for i in range(len(table))]
    if config.group_column not in table.column_names:
        raise DatasetError(
            f"{config.path} has no column {config.group_column!r}; it has: {', '.join(table.column_names)}."
        )
    return [str(group) for group in table.column(config.group_column).to_pylist()]


def _describe(config: ImportConfig, tokenizer_hash: str, padded: list[np.ndarray], n_prefix: int) -> Description:
    name = config.name or config.path.resolve().name
    digest = xxhash.xxh3_128()
    for row in padded:
        digest.update(row.tobytes())
    return Description(
        name=name,
        collection=name.split(".")[0],
        tokenizer=config.tokenizer,
        tokenizer_hash=tokenizer_hash,
        context_length=max(map(len, padded)),
        n_prefix=n_prefix,
        n_suffix=0,
        seed=0,
        source={"name": str(config.path), "licence": config.licence, "digest": digest.hexdigest()},
        options={"revision": config.revision, "group_column": config.group_column},
        dropped=() if config.group_column else (UNGROUPED,),
        provenance=provenance(),
    )
