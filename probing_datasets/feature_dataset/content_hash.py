"""One checksum over everything that activations of a data set depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from probing_datasets.feature_dataset.description import Description
from probing_datasets.foundation.hashing import checksum, digest_json

if TYPE_CHECKING:
    import pyarrow as pa


def content_hash(d: Description, sequences: pa.Table, probes: pa.Table) -> str:
    """Return the checksum of all columns and of how they are read; the chunks of a table do not matter."""
    reading = [d.tokenizer_hash, d.context_length, d.n_prefix, d.n_suffix, d.n_sequences, d.n_tokens]
    # Data sets made before classes had names, or sequences had spans, do not have these entries and columns.
    # They are hashed only if they exist, so that the hash of those data sets stays the same.
    features = {
        name: {key: value for key, value in asdict(info).items() if key != "classes" or value}
        for name, info in d.features.items()
    }
    further = sorted(set(sequences.column_names) - {"tokens", "group"})
    columns = [sequences.column(name) for name in ("tokens", "group", *further)]
    data = (piece for column in [*columns, *probes.columns] for piece in _column_bytes(column))
    return checksum(chain([digest_json([reading, features, *further]).encode()], data))


def _column_bytes(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    import pyarrow as pa  # slow to import
    import pyarrow.compute as pc

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
