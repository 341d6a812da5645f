"""Read texts on disk as named sub-corpora, for training the demo model."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from probing_datasets.foundation.file_languages import LANGUAGE_OF_EXTENSION

END_OF_TEXT = "<|endoftext|>"
MAX_FILE_BYTES = 400_000
MIN_FILE_CHARACTERS = 200


def read_text_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield ``(sub_corpus, document)`` for every ``.txt`` or ``.txt.zst`` file below a folder.

    A file is one sub-corpus, named by its stem; its documents are separated by
    ``<|endoftext|>``.
    """
    for path in sorted(folder.rglob("*.txt*")):
        if path.suffix not in {".txt", ".zst"}:
            continue
        compression = "zstd" if path.suffix == ".zst" else None
        with pa.input_stream(str(path), compression=compression) as stream:
            text = stream.read().decode("utf-8", errors="replace")
        for document in text.split(END_OF_TEXT):
            if document.strip():
                yield path.name.split(".")[0], document.strip()


def read_source_tree(root: Path, max_bytes_per_language: int) -> Iterator[tuple[str, str]]:
    """Yield ``(language, file text)`` from a folder or a zip of source files.

    Files are in the order of a hash of their path, so that the budget of a language is spent on
    many packages and not on the first one.
    """
    if root.suffix == ".zip":
        with zipfile.ZipFile(root) as archive:
            yield from _source_texts(archive.namelist(), archive.read, max_bytes_per_language)
    else:
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        yield from _source_texts(names, lambda name: (root / name).read_bytes(), max_bytes_per_language)


def _source_texts(
    names: Iterable[str], read: Callable[[str], bytes], max_bytes_per_language: int
) -> Iterator[tuple[str, str]]:
    spent: dict[str, int] = {}
    for name in sorted(names, key=hash_fraction):
        language = LANGUAGE_OF_EXTENSION.get(Path(name).suffix.lower())
        if language is None or spent.get(language, 0) >= max_bytes_per_language:
            continue
        text = read(name)[:MAX_FILE_BYTES].decode("utf-8", errors="ignore").strip()
        if len(text) >= MIN_FILE_CHARACTERS:
            spent[language] = spent.get(language, 0) + len(text)
            yield language, text


def hash_fraction(text: str) -> float:
    """Map a string to [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
