"""The row index: written, read back by the calling thread only."""

import subprocess
import sys

import numpy as np

from sparse_probing.activations.stores.manifest.row_index import encode_rows, read_rows
from sparse_probing.activations.stores.storage.checksums import FileRecord

SCRIPT = """
import os, sys
from pathlib import Path
from sparse_probing.activations.stores.manifest.row_index import read_rows
from sparse_probing.activations.stores.storage.checksums import FileRecord
path, threads = Path(sys.argv[1]), lambda: set(os.listdir("/proc/self/task"))
before = threads()
read_rows(path, FileRecord.of_file(path), 10)
print(len(threads() - before))
"""


def test_rows_come_back(tmp_path):
    sequence, position = np.arange(10) // 3, np.arange(10) % 3
    (tmp_path / "rows").write_bytes(encode_rows(sequence, position))
    again = read_rows(tmp_path / "rows", FileRecord.of_file(tmp_path / "rows"), 10)
    assert np.array_equal(again, [sequence, position])


def test_no_thread_holds_the_bytes_when_python_ends(tmp_path):
    """A thread of pyarrow that frees bytes of Python after its end aborts the process: 1 of 60 did."""
    (tmp_path / "rows").write_bytes(encode_rows(np.arange(10), np.arange(10)))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "rows")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
