"""Sources of text for tests: tables, folders of files, and the folder of real data."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

SOURCES = Path(__file__).parents[1] / "probing_datasets" / "example_sources"
"""Folder of small sources, one for each collection without bundled texts."""


def write_table(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write a ``.parquet``, ``.csv`` or JSON-lines table and return its path."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def compress(data: bytes, suffix: str) -> bytes:
    """Return data as in a file whose name ends in a suffix; unchanged without one."""
    compressors = {".gz": gzip.compress, ".zst": zstandard.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
    return compressors[suffix](data) if suffix else data


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files by their paths below a folder and return the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def real_data(name: str) -> Path:
    """Return a file in the folder of real data, or skip the test if the folder does not have it."""
    folder = os.environ.get("SPARSE_PROBING_TEST_DATA")
    if not folder or not Path(folder, name).is_file():
        pytest.skip(f"SPARSE_PROBING_TEST_DATA names no folder with {name}")
    return Path(folder, name)
