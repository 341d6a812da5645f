"""The feature data set: token sequences, and which of their positions have which labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from probing_datasets.foundation.atomic_files import TEMPORARY_PREFIX, atomic_folder
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.foundation.hashing import checksum, digest_json

FORMAT_VERSION = 1

datasets.disable_progress_bars()  # saving is instant; its bars would drown our own

FeatureKind = Literal["binary", "multiclass", "regression"]
Aggregation = Literal["none", "mean", "max", "last"]


class Probes(NamedTuple):
    """Labelled positions of one feature."""

    sequence: np.ndarray
    """(m,) int64, index of the sequence."""
    position: np.ndarray
    """(m,) int64, position in the sequence, special tokens counted."""
    label: np.ndarray
    """(m,) float64: -1/+1 when binary, class number when multiclass, a real number in regression."""


@dataclass(frozen=True)
class FeatureInfo:
    """What the description says of one feature."""

    kind: FeatureKind
    start: int
    """First row of the feature in the probe table."""
    stop: int
    """One past its last row."""
    counts: dict[str, int]
    """Rows of each label (empty in regression)."""


@dataclass(frozen=True)
class Description:
    """Where a feature data set came from and what is in it; ``description.json`` on disk."""

    name: str
    collection: str
    tokenizer: str
    tokenizer_hash: str
    context_length: int
    n_prefix: int
    """Special tokens at the start of every sequence; they are never pooled."""
    n_suffix: int
    """Special tokens at the end of every sequence; they are never pooled."""
    seed: int
    source: dict[str, Any]
    """Where the texts came from: name, licence, digest of what was read."""
    options: dict[str, Any]
    """All settings of the builder."""
    features: dict[str, FeatureInfo] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """One sentence for each thing that was left out."""
    n_sequences: int = 0
    n_tokens: int = 0
    content_hash: str = ""
    """Checksum of tokens, groups, positions and labels, and of how this description reads them."""
    provenance: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class FeatureDataset:
    """Token sequences with labelled positions.

    Attributes
    ----------
    description : Description
        Origin and contents.
    sequences : datasets.Dataset
        One row per sequence: ``tokens`` (list of int32, special tokens included, no padding)
        and ``group`` (string): what must not be split between training and test rows.
    probes : datasets.Dataset
        One row per labelled position: ``sequence`` (int64), ``position`` (int32), ``label``
        (float32); the rows of a feature are contiguous.
    """

    description: Description
    sequences: datasets.Dataset
    probes: datasets.Dataset

    @property
    def name(self) -> str:
        """Name of the data set: ``<collection>.<tokenizer>.<context length>.<number of sequences>``."""
        return self.description.name

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.description.features)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n_sequences,) int64: tokens of each sequence, special tokens counted."""
        return pc.list_value_length(_column(self.sequences, "tokens")).to_numpy().astype(np.int64)

    @cached_property
    def group_codes(self) -> np.ndarray:
        """(n_sequences,) int64: number of the group of each sequence."""
        groups = pc.dictionary_encode(_column(self.sequences, "group")).combine_chunks()
        return np.asarray(groups.indices).astype(np.int64)

    def tokens(self, indices: np.ndarray) -> list[np.ndarray]:
        """Return the token ids (int32) of the given sequences."""
        rows = self.sequences.with_format("arrow")[np.asarray(indices).tolist()]
        return [row.values.to_numpy().astype(np.int32) for row in rows.column("tokens")]

    def feature_probes(self, feature: str) -> Probes:
        """Return the labelled positions of one feature.

        Raises
        ------
        DatasetError
            When there is no such feature; the message lists those that exist.
        """
        self.check_features([feature])
        info = self.description.features[feature]
        table = self.probes.with_format("arrow")[info.start : info.stop]
        sequence, position, label = (table.column(name).to_numpy() for name in ("sequence", "position", "label"))
        return Probes(sequence.astype(np.int64), position.astype(np.int64), label.astype(np.float64))

    def check_features(self, names: Iterable[str]) -> None:
        """Raise DatasetError when a feature of these names does not exist."""
        unknown = sorted(set(names) - set(self.features))
        if unknown:
            raise DatasetError(f"{self.name} has no feature {', '.join(unknown)}; it has: {', '.join(self.features)}.")

    def save(self, path: Path) -> None:
        """Write the data set as a folder, atomically; a data set that stands there is replaced."""
        with atomic_folder(path) as folder:
            self.sequences.save_to_disk(folder / "sequences")
            self.probes.save_to_disk(folder / "probes")
            text = json.dumps(asdict(self.description), indent=1, sort_keys=True)
            (folder / "description.json").write_text(text + "\n")


def build_feature_dataset(
    description: Description,
    tokens: list[np.ndarray],
    groups: list[str],
    probes: dict[str, tuple[FeatureKind, Probes]],
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

    Raises
    ------
    DatasetError
        When positions, labels or groups are not valid; see `validate`.
    """
    probes = dict(sorted(probes.items()))
    offsets = np.cumsum([0, *map(len, tokens)])
    flat = np.concatenate(tokens) if tokens else np.empty(0, np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int32()))
    sequences = pa.table({"tokens": column, "group": pa.array(groups, pa.string())})
    table = pa.table(
        {
            "sequence": pa.array(np.concatenate([p.sequence for _, p in probes.values()]), pa.int64()),
            "position": pa.array(np.concatenate([p.position for _, p in probes.values()]), pa.int32()),
            "label": pa.array(np.concatenate([p.label for _, p in probes.values()]), pa.float32()),
        }
        if probes
        else {
            "sequence": pa.array([], pa.int64()),
            "position": pa.array([], pa.int32()),
            "label": pa.array([], pa.float32()),
        }
    )
    filled = replace(description, features=_feature_infos(probes), n_sequences=len(tokens), n_tokens=int(offsets[-1]))
    content_hash = _content_hash(filled, sequences, table)
    dataset = FeatureDataset(
        replace(filled, content_hash=content_hash),
        datasets.Dataset(sequences, fingerprint=content_hash[:16]),
        datasets.Dataset(table, fingerprint=content_hash[16:]),
    )
    validate(dataset)
    return dataset


def _feature_infos(probes: dict[str, tuple[FeatureKind, Probes]]) -> dict[str, FeatureInfo]:
    infos, start = {}, 0
    for name, (kind, rows) in probes.items():
        values, counts = np.unique(rows.label, return_counts=True)
        by_label = {} if kind == "regression" else {f"{v:g}": int(c) for v, c in zip(values, counts, strict=True)}
        infos[name] = FeatureInfo(kind, start, start + len(rows.label), by_label)
        start += len(rows.label)
    return infos


def _content_hash(d: Description, sequences: pa.Table, probes: pa.Table) -> str:
    """Checksum of all columns and of their reading; how a table is cut into chunks does not matter."""
    reading = [d.tokenizer_hash, d.context_length, d.n_prefix, d.n_suffix, d.n_sequences, d.n_tokens]
    features = {name: asdict(info) for name, info in d.features.items()}
    columns = [sequences.column("tokens"), sequences.column("group"), *probes.columns]
    data = (piece for column in columns for piece in _column_bytes(column))
    return checksum(chain([digest_json([reading, features]).encode()], data))


def _column_bytes(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    if pa.types.is_list(column.type) or pa.types.is_string(column.type):
        lengths = pc.list_value_length if pa.types.is_list(column.type) else pc.binary_length
        for chunk in column.chunks:
            yield lengths(chunk).to_numpy(zero_copy_only=False).astype(np.int64).tobytes()
    for chunk in column.chunks:
        if pa.types.is_string(column.type):
            yield "".join(chunk.to_pylist()).encode()
        else:
            flat = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
            yield np.ascontiguousarray(flat.to_numpy()).view(np.uint8).data


def load_feature_dataset(name: str, root: Path) -> FeatureDataset:
    """Load a data set by its name (a folder below ``root``) or by its path, and check it.

    Raises
    ------
    DatasetError
        When it does not exist, was written by another version, or its content was changed.
    """
    path = _locate(name, root)
    try:
        description = _read_description(path)
        sequences = datasets.load_from_disk(path / "sequences")
        probes = datasets.load_from_disk(path / "probes")
        content_hash = _content_hash(description, sequences.data.table, probes.data.table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.lib.ArrowException) as error:
        raise DatasetError(f"The data set in {path} is damaged ({error}). Make it again.") from error
    if content_hash != description.content_hash:
        raise DatasetError(f"The content of {path} is not what its description records. Make it again.")
    dataset = FeatureDataset(description, sequences, probes)  # type: ignore[arg-type]
    validate(dataset)
    return dataset


def _read_description(path: Path) -> Description:
    raw = json.loads((path / "description.json").read_text())
    if raw.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            f"The data set in {path} has format {raw.get('format_version')}, this version reads {FORMAT_VERSION}. "
            "Make it again."
        )
    features = {name: FeatureInfo(**info) for name, info in raw["features"].items()}
    return Description(**{**raw, "features": features, "dropped": tuple(raw["dropped"])})


def dataset_names(root: Path) -> list[str]:
    """Return the names of the data sets in a folder."""
    names = (path.parent.name for path in root.glob("*/description.json"))
    return sorted(name for name in names if not name.startswith(TEMPORARY_PREFIX))


def _locate(name: str, root: Path) -> Path:
    for path in (root / name, Path(name).expanduser()):
        if (path / "description.json").is_file():
            return path
    known = dataset_names(root)
    has = f"it holds: {', '.join(known)}" if known else "it holds none"
    raise DatasetError(
        f"There is no feature data set {name!r} in {root} (FEATURE_DATASET_DIR); {has}. "
        "Make one with `python -m probing_datasets make`."
    )


def validate(dataset: FeatureDataset) -> None:
    """Check every invariant of a data set.

    Raises
    ------
    DatasetError
        Naming the feature and the first sequence at fault.
    """
    d, lengths = dataset.description, dataset.lengths
    if not d.features:
        raise DatasetError(f"{d.name} has no feature left. {' '.join(d.dropped)}")
    shortest = d.n_prefix + d.n_suffix + 1
    _refuse(lengths < shortest, d.name, "sequence {} has no token besides the special ones")
    _refuse(lengths > d.context_length, d.name, "sequence {} is longer than the context length")
    for feature, info in d.features.items():
        probes, where = dataset.feature_probes(feature), f"{d.name}, feature {feature}"
        _refuse((probes.sequence < 0) | (probes.sequence >= len(lengths)), where, "probe {} names no sequence")
        outside = (probes.position < 0) | (probes.position >= lengths[probes.sequence])
        _refuse(outside, where, "probe {} lies outside its sequence")
        _refuse(~_valid_labels(info.kind, probes.label), where, f"probe {{}} has a label that is not {info.kind}")
        keys = probes.sequence * (d.context_length + 1) + probes.position
        if len(np.unique(keys)) < len(keys):
            raise DatasetError(f"{where}: a position is labelled twice.")


def _valid_labels(kind: FeatureKind, labels: np.ndarray) -> np.ndarray:
    if kind == "binary":
        return np.isin(labels, (-1, 1))
    if kind == "multiclass":
        return (labels >= 0) & (labels == np.round(labels))
    return np.isfinite(labels)


def _refuse(bad: np.ndarray, where: str, problem: str) -> None:
    if bad.any():
        raise DatasetError(f"{where}: {problem.format(int(np.flatnonzero(bad)[0]))} ({int(bad.sum())} in all).")


def _column(table: datasets.Dataset, name: str) -> pa.ChunkedArray:
    return table.data.column(name)
