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

SCHEMA = pa.schema({"sequence": pa.int64(), "position": pa.int64()})
MAX_ROWS_PER_BYTE = 64
"""No two rows are equal, so real indices have up to 8 rows in a byte; a file that claims more was made to fill the
memory."""

RowIndex = tuple[np.ndarray, np.ndarray]
"""``(sequence, position)``, int64, one entry per row of the store."""


def encode_rows(sequence: np.ndarray, position: np.ndarray) -> bytes:
    """Return a Parquet file with the int64 columns ``sequence`` and ``position``."""
    columns = {"sequence": np.asarray(sequence, np.int64), "position": np.asarray(position, np.int64)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def read_rows(path: StorePath, record: FileRecord, n_rows: int) -> RowIndex:
    """Read a row index.

    Raises
    ------
    CorruptStoreError
        When the file differs from its record, or does not hold the sequence and position of ``n_rows`` rows.
    """
    reason: str | None = record.damage(path)
    if reason is None:
        # Read by this thread only. A thread of pyarrow that still holds these bytes when Python ends would abort the
        # process ("terminate called without an active exception"), after all work is done.
        try:
            file = pq.ParquetFile(pa.BufferReader(read_file(path)), pre_buffer=False)
            if file.metadata.num_rows != n_rows or not file.schema_arrow.equals(SCHEMA):
                reason = f"it does not hold sequence and position of {n_rows:,} rows"
            elif n_rows > MAX_ROWS_PER_BYTE * record.nbytes:
                reason = f"{record.nbytes:,} bytes cannot hold {n_rows:,} distinct rows"
            else:
                table = file.read(use_threads=False)
                if not any(column.null_count for column in table.columns):
                    return table["sequence"].to_numpy(), table["position"].to_numpy()
                reason = "it has missing values"
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error)
    raise CorruptStoreError(
        f"The row index {path} is damaged ({reason}). "
        "Run the stage-1 command that made the store again: it writes the row index again."
    )
