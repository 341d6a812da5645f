"""One checksum over everything that activations of a data set depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from probing_datasets.feature_dataset.description import Description, FeatureInfo
from probing_datasets.foundation.hashing import checksum, digest_json


def content_hash(d: Description, sequences: pa.Table, probes: pa.Table) -> str:
    """Checksum of all columns and of their reading; how a table is cut into chunks does not matter."""
    reading = [d.tokenizer_hash, d.context_length, d.n_prefix, d.n_suffix, d.n_sequences, d.n_tokens]
    features = {name: _reading(info) for name, info in d.features.items()}
    # Further columns, such as spans, and their names are hashed where there are some: older data sets have none.
    further = sorted(set(sequences.column_names) - {"tokens", "group"})
    columns = [sequences.column(name) for name in ("tokens", "group", *further)]
    data = (piece for column in [*columns, *probes.columns] for piece in _column_bytes(column))
    return checksum(chain([digest_json([reading, features, *further]).encode()], data))


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


def _reading(info: FeatureInfo) -> dict[str, Any]:
    """Return what is hashed of a feature; names of classes only where there are some, as older data sets have none."""
    return {name: value for name, value in asdict(info).items() if name != "classes" or value}
