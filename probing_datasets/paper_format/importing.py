"""Import a data set that the paper's authors published: remove its padding, keep its positions and labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from tyro.conf import Positional

from probing_datasets.building.tokenization import load_tokenizer, tokenizer_hash
from probing_datasets.feature_dataset import Description, FeatureDataset, build_feature_dataset, save_dataset
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import DamagedFileError, DatasetError, SettingsError, SourceError, list_known
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.saved_datasets import load_saved_dataset
from probing_datasets.foundation.provenance import provenance
from probing_datasets.paper_format.layouts import TEXT_LENGTH, read_features
from probing_datasets.sources.groups import join_groups_of_copies

if TYPE_CHECKING:
    import pyarrow as pa

UNGROUPED = (
    "The documents of the sequences are unknown: every sequence is its own group, and scores may be too good. "
    "If the data set has a column of documents, name it with --group_column."
)


@dataclass(frozen=True)
class ImportConfig:
    """Import a data set that the paper's authors published (a folder that `datasets` saved)."""

    path: Positional[Path]
    """Folder of the data set."""
    tokenizer: str
    """The tokenizer of its tokens: a local model folder, a TransformerLens alias or a hub id."""
    revision: str | None = None
    """Revision of a tokenizer on the hub."""
    trust_remote_code: bool = False
    """Run Python code that the folder of the tokenizer holds."""
    name: str = ""
    """Name of the data set; default: the name of the folder, which has the same form in the paper."""
    group_column: str = ""
    """Column of what must not be split between training and test rows; empty: every sequence is its own group."""
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
        When its columns do not fit any known layout, or its labels are not valid.
    SettingsError
        When a token is not in the vocabulary of the tokenizer.
    DamagedFileError
        When its name cannot be that of a folder.
    """
    import pyarrow as pa  # slow to import

    name = path_name(config.name or config.path.resolve().name, "--name")
    table = _read_table(config.path)
    if config.group_column and config.group_column not in table.column_names:
        known = list_known(config.group_column, table.column_names)
        raise DatasetError(f"{config.path} has no column {config.group_column!r}; it has: {known}.")
    tokenizer = load_tokenizer(config.tokenizer, config.revision, config.trust_remote_code)
    padded = [row.astype(np.int32) for row in table.column("tokens").to_numpy(zero_copy_only=False)]

    # Tokens before the padding of each sequence, at least one. The paper pads with the tokenizer's padding
    # token, or with an id that it adds after the vocabulary.
    pad_ids: list[Any] = [i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None]
    lengths = np.ones(len(padded), np.int64)
    for index, row in enumerate(padded):
        is_text = ~np.isin(row, pad_ids) & (row < len(tokenizer))
        lengths[index] += np.flatnonzero(is_text).max(initial=0)
    features = read_features(table.append_column(TEXT_LENGTH, pa.array(lengths)), str(config.path))

    # Remove the padding, except tokens that are probed.
    needed = lengths.copy()
    for _, probes in features.values():
        np.maximum.at(needed, probes.sequence, probes.position + 1)
    tokens = [row[:length] for row, length in zip(padded, needed.tolist(), strict=True)]
    if max(int(row.max()) for row in tokens) >= len(tokenizer):
        raise SettingsError(
            f"{config.path} has tokens that are not in the vocabulary of {config.tokenizer}. Check --tokenizer."
        )

    if config.group_column:
        groups = [str(group) for group in table.column(config.group_column).to_pylist()]
    else:
        groups = [f"row {i}" for i in range(len(table))]
    groups, n_copies = join_groups_of_copies(tokens, groups)
    starts_with_bos = all(row[0] == tokenizer.bos_token_id for row in tokens)
    description = _describe(config, name, tokenizer_hash(tokenizer), padded, int(starts_with_bos))
    if n_copies:
        note = f"{n_copies:,} sequences have the tokens of one in another group: these groups were joined."
        description = replace(description, dropped=(*description.dropped, note))
    dataset = build_feature_dataset(description, tokens, groups, features)
    save_dataset(dataset, config.output_dir, config.overwrite)
    return dataset


def _read_table(path: Path) -> pa.Table:
    import datasets  # slow to import

    try:
        dataset = load_saved_dataset(path)
    except DamagedFileError as error:
        raise SourceError(f"{path} is not a folder that `datasets` saved: {error}") from error
    if not isinstance(dataset, datasets.Dataset) or "tokens" not in dataset.column_names or not len(dataset):
        raise SourceError(f"{path} is not a data set of the paper: it has no column `tokens`, or no row.")
    return dataset.with_format("arrow")[:]  # type: ignore[return-value]


def _describe(
    config: ImportConfig, name: str, tokenizer_hash: str, padded: list[np.ndarray], n_prefix: int
) -> Description:
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
        options={
            "revision": config.revision,
            "trust_remote_code": config.trust_remote_code,
            "group_column": config.group_column,
        },
        dropped=() if config.group_column else (UNGROUPED,),
        provenance=provenance(),
    )
