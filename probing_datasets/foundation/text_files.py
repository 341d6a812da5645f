r"""Open text files: one rule for their encoding, their compression and their line ends.

A byte-order mark decides between UTF-8, UTF-16 and UTF-32; a file without one is UTF-8. No other encoding is guessed:
bytes that are not UTF-8 are an error that names their place. The first bytes decide whether a file is compressed
(gzip, Zstandard, bzip2, xz), not its name. Line ends become ``\n``.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import zstandard

from probing_datasets.foundation.errors import SourceError

COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PEEKED_BYTES = 4096

READ_ERRORS = (OSError, EOFError, UnicodeError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
"""Raised while a file is opened, decompressed or decoded."""


def name_without_compression(path: Path) -> Path:
    """Return the path without the suffix of a compressed file.

    Examples
    --------
    >>> name_without_compression(Path("texts.csv.gz")).suffix
    '.csv'
    """
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED_SUFFIXES else path


def open_text(path: Path) -> TextIO:
    """Open a text file for reading; while it is read, it raises one of `READ_ERRORS`.

    Raises
    ------
    SourceError
        When the file does not exist, cannot be opened, or is not text.
    """
    try:
        raw = _open_bytes(path)
        head = raw.peek(PEEKED_BYTES)[:PEEKED_BYTES]
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        raw.close()
        raise SourceError(
            f"{path} holds zero bytes, so it is not text in UTF-8. If it is UTF-16, save it with a byte-order mark."
        )
    return io.TextIOWrapper(raw, encoding=encoding)


def read_text(path: Path) -> str:
    """Return the content of a text file.

    Raises
    ------
    SourceError
        As `open_text`, and when it cannot be decompressed or decoded.
    """
    try:
        with open_text(path) as file:
            return file.read()
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error, in one line, for a file that raised an error while it was read."""
    if isinstance(error, FileNotFoundError):
        return SourceError(f"There is no file {path}. Check --source.")
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return SourceError(
            f"{path} is not {error.encoding.upper()}: it holds the byte 0x{byte:02X}, as in a file in Latin-1 or "
            f"Windows-1252. Convert it first, for example with `iconv -f WINDOWS-1252 -t UTF-8`."
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SourceError(f"{path} cannot be read: {reason}. It may be damaged or cut off.")


def plain_copy(path: Path, is_json: bool) -> tuple[Path, object]:
    """Return a file in UTF-8 without compression or byte-order mark, in which a JSON array is a line per element.

    Parameters
    ----------
    path : Path
    is_json : bool
        Whether the file is JSON, in which an array of texts becomes an array of records with a column ``text``.

    Returns
    -------
    Path, object
        The file itself, or a copy that exists as long as the object.

    Raises
    ------
    SourceError
        When the file cannot be read, or its JSON array does not hold records.
    """
    with open_text(path) as file:
        try:
            start = file.read(PEEKED_BYTES).lstrip()
        except READ_ERRORS as error:
            raise unreadable(path, error) from error
    is_array = is_json and start.startswith("[")
    with path.open("rb") as raw:
        head = raw.read(PEEKED_BYTES)
    is_plain = not any(head.startswith(mark) for mark in (*BYTE_ORDER_MARKS, *MAGIC_BYTES))
    if is_plain and not is_array:
        return path, None

    folder = tempfile.TemporaryDirectory()
    copy = Path(folder.name) / name_without_compression(path).name
    try:
        with open_text(path) as source, copy.open("w", encoding="utf-8", newline="") as target:
            if is_array:
                for record in _records(path, json.load(source)):
                    target.write(json.dumps(record, ensure_ascii=False) + "\n")
            else:
                while chunk := source.read(2**20):
                    target.write(chunk)
    except json.JSONDecodeError as error:
        raise SourceError(f"{path} is not JSON: {error}. It may be damaged or cut off.") from error
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    return copy, folder


def _records(path: Path, values: Any) -> list[dict[str, Any]]:
    records = [{"text": value} if isinstance(value, str) else value for value in values]
    if not all(isinstance(record, dict) for record in records):
        kind = next(type(record).__name__ for record in records if not isinstance(record, dict))
        raise SourceError(f"{path} holds a JSON array with a {kind} in it. Pass an array of objects, or one a line.")
    return records


def _zstandard_reader(path: Path) -> Any:
    file = path.open("rb")
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)


MAGIC_BYTES = {
    b"\x1f\x8b": gzip.open,
    b"\x28\xb5\x2f\xfd": _zstandard_reader,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""First bytes of compressed files, and what opens them."""


def _open_bytes(path: Path) -> io.BufferedReader:
    """Open a file that may be compressed."""
    with path.open("rb") as raw:
        head = raw.read(max(map(len, MAGIC_BYTES)))
    opener = next((opener for magic, opener in MAGIC_BYTES.items() if head.startswith(magic)), None)
    stream = path.open("rb") if opener is None else cast(BinaryIO, opener(path))
    return io.BufferedReader(cast(Any, stream))
