"""The row index of a store: the sequence and position of the token of each row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import read_file
from sparse_probing.activations.stores.storage.locations import StorePath

ROWS = "rows.parquet"

RowIndex = tuple[np.ndarray, np.ndarray]
"""``(sequence, position)``, int64, one entry per row of the store."""


def encode_rows(sequence: np.ndarray, position: np.ndarray) -> bytes:
    """Return a Parquet file with the int64 columns ``sequence`` and ``position``."""
    columns = {"sequence": np.asarray(sequence, np.int64), "position": np.asarray(position, np.int64)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def read_rows(path: StorePath, record: FileRecord) -> RowIndex:
    """Read a row index; CorruptStoreError when the file differs from its record."""
    if reason := record.damage(path):
        raise CorruptStoreError(
            f"The row index {path} is damaged ({reason}). "
            "Run the stage-1 command that made the store again: it writes the row index again."
        )
    table = pq.read_table(pa.BufferReader(read_file(path)))
    return table["sequence"].to_numpy(), table["position"].to_numpy()
