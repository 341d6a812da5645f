r"""Open text files: one rule for their encoding, their compression and their line ends.

A byte-order mark decides between UTF-8, UTF-16 and UTF-32; a file without one has the encoding that the user names, or
UTF-8. No other encoding is guessed: bytes that do not fit are an error that names one of them. The first bytes decide
whether a file is compressed (gzip, Zstandard, bzip2, xz), not its name. Line ends become ``\n``.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import zstandard

from probing_datasets.foundation.errors import SourceError, first_line
from probing_datasets.foundation.files.regular_files import open_regular_file

COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PEEKED_BYTES = 4096
ZSTANDARD_CHUNK_BYTES = 1024
"""Bytes that are decompressed at once: small, because four of them can encode 128 KiB."""

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


def is_text_encoding(name: str) -> bool:
    """Whether Python knows an encoding of this name for text."""
    try:
        return "a".encode(name).decode(name) == "a"
    except (LookupError, UnicodeError):
        return False


def open_text(path: Path, encoding: str = "") -> TextIO:
    """Open a text file for reading; while it is read, it raises one of `READ_ERRORS`.

    Parameters
    ----------
    path : Path
        A file, which may be compressed.
    encoding : str
        Name of the encoding of a file without a byte-order mark; empty: UTF-8.

    Raises
    ------
    SourceError
        When the file does not exist, cannot be opened, or is not text; or Python knows no such encoding.
    """
    if encoding and not is_text_encoding(encoding):
        raise SourceError(f"--encoding {encoding!r} is not known. Examples: windows-1252, latin-1, utf-16.")
    try:
        raw = _open_bytes(path)
        head = raw.peek(PEEKED_BYTES)[:PEEKED_BYTES]
    except (*READ_ERRORS, ValueError) as error:  # ValueError: a pipe or a device
        raise unreadable(path, error) from error
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), encoding or "utf-8")
    if encoding == "utf-8" and b"\0" in head:
        raw.close()
        raise SourceError(
            f"{path} holds zero bytes, so it is not text in UTF-8. If it is UTF-16 without a byte-order mark, pass "
            "--encoding utf-16-le or utf-16-be."
        )
    return io.TextIOWrapper(raw, encoding=encoding)


def read_text(path: Path, encoding: str = "", max_characters: int = -1) -> str:
    """Return the content of a text file.

    Parameters
    ----------
    path, encoding
        As in `open_text`.
    max_characters : int
        Read only the first characters; -1: all.

    Raises
    ------
    SourceError
        As `open_text`, and when it cannot be decompressed or decoded.
    """
    try:
        with open_text(path, encoding) as file:
            return file.read(max_characters)
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
            "Windows-1252. Name its encoding with --encoding windows-1252, or convert it first with `iconv`."
        )
    if isinstance(error, UnicodeError):
        return SourceError(
            f"{path} cannot be decoded: {first_line(error)}. Name its encoding with --encoding; for UTF-16 without a "
            "byte-order mark it is utf-16-le or utf-16-be."
        )
    return SourceError(f"{path} cannot be read: {first_line(error)}. It may be damaged or cut off.")


class _ZstandardFile(io.RawIOBase):
    """The decompressed bytes of a Zstandard file of one or several frames.

    The reader of `zstandard` takes a frame that is cut off for the end of the file; this one raises EOFError.
    """

    def __init__(self, path: Path) -> None:
        self.file, self.frame, self.bytes = path.open("rb"), None, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.bytes:
            data = self.file.read(ZSTANDARD_CHUNK_BYTES)
            if not data:
                if self.frame is not None:
                    raise EOFError("Compressed file ended before the end of a frame")
                return 0
            pieces = []
            while data:
                frame = self.frame or zstandard.ZstdDecompressor().decompressobj()
                pieces.append(frame.decompress(data))
                data, self.frame = (frame.unused_data, None) if frame.eof else (b"", frame)
            self.bytes = memoryview(b"".join(pieces))
        n_bytes = min(len(buffer), len(self.bytes))
        buffer[:n_bytes], self.bytes = self.bytes[:n_bytes], self.bytes[n_bytes:]
        return n_bytes

    def close(self) -> None:
        self.file.close()
        super().close()


MAGIC_BYTES = {
    b"\x1f\x8b": gzip.open,
    b"\x28\xb5\x2f\xfd": _ZstandardFile,
    **{bytes([number, 0x2A, 0x4D, 0x18]): _ZstandardFile for number in range(0x50, 0x60)},  # a frame that is skipped
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""First bytes of compressed files, and what opens them."""


def _open_bytes(path: Path) -> io.BufferedReader:
    """Open a file that may be compressed."""
    with open_regular_file(path) as raw:
        head = raw.read(max(map(len, MAGIC_BYTES)))
    opener = next((opener for magic, opener in MAGIC_BYTES.items() if head.startswith(magic)), None)
    stream = path.open("rb") if opener is None else cast(BinaryIO, opener(path))
    return io.BufferedReader(cast(Any, stream))
