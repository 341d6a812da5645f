"""Several feature data sets as one, so that a model runs once for the features of all of them.

Every feature keeps its rows, labels, groups, pooled tokens and given split. It has no label, and so no row, on the
texts of the others.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from probing_datasets.feature_dataset.content_hash import content_hash
from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import Description, FeatureInfo
from probing_datasets.feature_dataset.given_splits import COLUMN as SPLIT
from probing_datasets.feature_dataset.given_splits import NO_SPLIT
from probing_datasets.feature_dataset.spans import POOLED, pooled_span
from probing_datasets.feature_dataset.validation import validate
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.sealed_json import shaped
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.provenance import provenance

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

PARTS = "data_sets"
"""Entry of the source of a merged data set: the data sets that it was made of."""
LONGEST_NAME = 120


@dataclass(frozen=True)
class MergedPart:
    """A data set that is a part of a merged one."""

    name: str
    content_hash: str
    start: int
    """Its first sequence in the merged data set."""
    stop: int
    features: dict[str, str]
    """Its features by their names in the merged data set."""
    source: dict[str, Any]
    """Origin of its texts."""


def merge_datasets(datasets: Sequence[FeatureDataset]) -> FeatureDataset:
    """Return the sequences and features of several data sets as one data set.

    Sequences with the same tokens stay separate: each data set has its own groups, pooled tokens and split. Features
    of the same name get the name of their data set in front, ``<data set>:<feature>``. The context is as long as the
    longest, and sequences keep their lengths.

    Parameters
    ----------
    datasets : sequence of FeatureDataset
        At least one; a single one is returned unchanged.

    Raises
    ------
    DatasetError
        When the tokenizers differ, the same data set is given twice, or two features have the same name even with
        the names of their data sets.
    """
    first, *others = datasets
    if not others:
        return first
    for dataset in others:
        if dataset.description.tokenizer_hash != first.description.tokenizer_hash:
            raise DatasetError(
                f"{dataset.name} was tokenized with {dataset.description.tokenizer!r}, and {first.name} with "
                f"{first.description.tokenizer!r}: their tokens are not the same. Make them with one --tokenizer."
            )
    hashes = Counter(dataset.description.content_hash for dataset in datasets)
    (most_common, n_times), *_ = hashes.most_common(1)
    if n_times > 1:
        names = [dataset.name for dataset in datasets if dataset.description.content_hash == most_common]
        raise DatasetError(f"{' and '.join(names)} hold the same sequences and labels. Name a data set once.")

    import datasets as hugging_face  # slow to import
    import pyarrow as pa

    starts = np.cumsum([0, *(len(dataset.lengths) for dataset in datasets)]).tolist()
    features = _feature_names(datasets)
    parts = [
        MergedPart(d.name, d.description.content_hash, start, stop, of_part, d.description.source)
        for d, start, stop, of_part in zip(datasets, starts[:-1], starts[1:], features, strict=True)
    ]
    _report_copies(datasets)

    # Sequences: one below another, with the columns that any of the data sets has.
    columns = {name for d in datasets for name in d.sequences.column_names if name not in ("tokens", "group")}
    if any(_frame(d) != _frame(first) for d in datasets):
        columns |= {f"{POOLED}_start", f"{POOLED}_stop"}  # special tokens are of different numbers
    sequences = pa.concat_tables([_sequences(dataset, sorted(columns)) for dataset in datasets])

    # Probes: the rows of one feature after those of another, in the order of their names.
    origins = sorted((name, number, old) for number, part in enumerate(parts) for name, old in part.features.items())
    infos: dict[str, FeatureInfo] = {}
    tables, stop = [], 0
    for name, number, old in origins:
        info = datasets[number].description.features[old]
        table = datasets[number].probes.data.table.slice(info.start, info.n_rows)
        sequence = table.column("sequence").to_numpy() + starts[number]
        tables.append(table.set_column(table.schema.get_field_index("sequence"), "sequence", pa.array(sequence)))
        infos[name] = replace(info, start=stop, stop=stop + info.n_rows)
        stop += info.n_rows
    probes = pa.concat_tables(tables)

    description = replace(_describe([d.description for d in datasets], parts), features=infos)
    digest = content_hash(description, sequences, probes)
    merged = FeatureDataset(
        replace(description, content_hash=digest),
        hugging_face.Dataset(sequences, fingerprint=digest[:16]),
        hugging_face.Dataset(probes, fingerprint=digest[16:]),
    )
    validate(merged)
    return merged


def merged_parts(description: Description) -> list[MergedPart]:
    """Return the data sets that a merged one was made of; none for another data set.

    Raises
    ------
    DamagedFileError
        When the description does not say it as `merge_datasets` does, or a name cannot be that of a folder.
    """
    parts = shaped(description.source.get(PARTS, []), list[MergedPart])
    for part in parts:
        path_name(part.name, f"The description of {description.name}")
    return parts


def _feature_names(datasets: Sequence[FeatureDataset]) -> list[dict[str, str]]:
    """Return the features of each data set by their names in the merged one."""
    counts = Counter(feature for dataset in datasets for feature in dataset.features)
    names = [{f if counts[f] == 1 else f"{d.name}:{f}": f for f in d.features} for d in datasets]
    merged = Counter(name for of_part in names for name in of_part)
    if twice := [name for name, n in merged.items() if n > 1]:
        raise DatasetError(
            f"Two data sets have the feature {twice[0]!r}, and the same name. Make one of them again with --name."
        )
    return names


def _frame(dataset: FeatureDataset) -> tuple[int, int]:
    return dataset.description.n_prefix, dataset.description.n_suffix


def _sequences(dataset: FeatureDataset, columns: Sequence[str]) -> pa.Table:
    """Return the sequences of a part: groups with the name of their data set, and all columns that any part has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = dataset.sequences.data.table
    n, group = len(dataset.lengths), table.column("group").cast(pa.string())
    arrays = {
        "tokens": table.column("tokens").cast(pa.list_(pa.int32())),
        "group": pc.binary_join_element_wise(dataset.name, group, ": "),
    }
    pooled = pooled_span(dataset, np.arange(n)) if f"{POOLED}_start" in columns else None
    for name in columns:
        if pooled is not None and name in (f"{POOLED}_start", f"{POOLED}_stop"):
            arrays[name] = pa.array(pooled[:, int(name == f"{POOLED}_stop")], pa.int32())
        elif name in table.column_names:
            arrays[name] = table.column(name).cast(pa.string() if name == SPLIT else pa.int32())
        else:  # the span of another part: its two ends are equal where a sequence does not have it
            arrays[name] = pa.array([NO_SPLIT] * n, pa.string()) if name == SPLIT else pa.array(np.zeros(n), pa.int32())
    return pa.table(arrays)


def _report_copies(datasets: Sequence[FeatureDataset]) -> None:
    """Log how many sequences of a data set have the tokens of a sequence of an earlier one."""
    known: set[bytes] = set()
    for dataset in datasets:
        tokens = {ids.tobytes() for ids in dataset.tokens(np.arange(len(dataset.lengths)))}
        if copies := len(tokens & known):
            logger.info(
                "%d sequences of %s are in an earlier data set too; they run once for each", copies, dataset.name
            )
        known |= tokens


def _describe(parts: Sequence[Description], merged: Sequence[MergedPart]) -> Description:
    """Return the description of the merged data set, without its features and hash."""
    name = "+".join(d.name for d in parts)
    if len(name.encode()) > LONGEST_NAME:
        name = f"{parts[0].name}+{len(parts) - 1}_more.{digest_json([d.content_hash for d in parts])[:8]}"
    sources = {key: "; ".join(dict.fromkeys(str(d.source.get(key, "")) for d in parts)) for key in ("name", "licence")}
    return Description(
        name=name,
        collection="+".join(dict.fromkeys(d.collection for d in parts)),
        tokenizer=parts[0].tokenizer,
        tokenizer_hash=parts[0].tokenizer_hash,
        context_length=max(d.context_length for d in parts),
        n_prefix=min(d.n_prefix for d in parts),
        n_suffix=min(d.n_suffix for d in parts),
        seed=parts[0].seed,
        source=sources | {"digest": "", PARTS: [vars(part) for part in merged]},
        options={},
        dropped=tuple(f"{d.name}: {note}" for d in parts for note in d.dropped),
        n_sequences=sum(d.n_sequences for d in parts),
        n_tokens=sum(d.n_tokens for d in parts),
        provenance=provenance(),
    )
