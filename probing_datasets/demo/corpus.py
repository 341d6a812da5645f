"""Text on disk as named sub-corpora, for training the demo model."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from probing_datasets.file_languages import LANGUAGE_OF_EXTENSION

END_OF_TEXT = "<|endoftext|>"
MAX_FILE_BYTES = 400_000


def read_text_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(sub_corpus, document)`` for every ``.txt`` or ``.txt.zst`` file below a folder.

    A file is one sub-corpus, named by its stem; its documents are separated by
    ``<|endoftext|>``.
    """
    for path in sorted(folder.rglob("*.txt*")):
        if path.suffix not in {".txt", ".zst"}:
            continue
        for document in _read_text(path).split(END_OF_TEXT):
            if document.strip():
                yield path.name.split(".")[0], document.strip()


def _read_text(path: Path) -> str:
    compression = "zstd" if path.suffix == ".zst" else None
    with pa.input_stream(str(path), compression=compression) as stream:
        return stream.read().decode("utf-8", errors="replace")


def read_source_tree(root: Path, max_bytes_per_language: int) -> Iterator[tuple[str, str]]:
    """Yield ``(language, file text)`` from a folder or a zip of source files.

    Files come in an order fixed by a hash of their path, so that the budget of a
    language is spent on many packages and not on the first one.
    """
    spent: dict[str, int] = {}
    members = _zip_members(root) if root.suffix == ".zip" else _folder_members(root)
    for language, read in members:
        if spent.get(language, 0) >= max_bytes_per_language:
            continue
        text = read()[:MAX_FILE_BYTES].decode("utf-8", errors="ignore").strip()
        if len(text) < 200:
            continue
        spent[language] = spent.get(language, 0) + len(text)
        yield language, text


def _folder_members(root: Path):
    paths = [p for p in root.rglob("*") if p.suffix.lower() in LANGUAGE_OF_EXTENSION and p.is_file()]
    for path in sorted(paths, key=lambda p: hash_fraction(str(p.relative_to(root)))):
        yield LANGUAGE_OF_EXTENSION[path.suffix.lower()], path.read_bytes


def _zip_members(archive: Path):
    with zipfile.ZipFile(archive) as file:
        names = [n for n in file.namelist() if Path(n).suffix.lower() in LANGUAGE_OF_EXTENSION]
        for name in sorted(names, key=hash_fraction):
            yield LANGUAGE_OF_EXTENSION[Path(name).suffix.lower()], lambda name=name: file.read(name)


def hash_fraction(text: str) -> float:
    """Map a string to [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
