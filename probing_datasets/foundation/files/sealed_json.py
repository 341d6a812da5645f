"""The one reader of JSON files that decide work: each contains the digest of its content, and has a known shape.

A file is refused before its bytes are used: when it is not a regular file, is too large, has a byte that was not
written, or does not have the fields of its shape.
"""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.files.regular_files import read_regular_file
from probing_datasets.foundation.hashing import digest_json

MAX_DEPTH = 100
"""Most levels of lists and dictionaries within one another."""

Shape = TypeVar("Shape")


def seal(content: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON file that contains the SHA-256 of its content."""
    value = {"content": content, "digest": digest_json(content)}
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def unseal(data: bytes) -> dict[str, Any]:
    """Return the content of a sealed file.

    Raises
    ------
    ValueError
        When any byte differs from what :func:`seal` wrote.
    """
    value = parse_json(data)
    if not isinstance(value, dict) or not isinstance(value.get("content"), dict):
        raise ValueError("not a sealed file")
    if seal(value["content"]) != data:
        raise ValueError("the content does not have the recorded digest")
    return value["content"]


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON file without a seal; ValueError when it is not JSON, or nested too deeply."""
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if _is_deeper(value, MAX_DEPTH):  # what walks through the content later may recurse
        raise ValueError("nested too deeply")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and dictionaries contain one another more than ``depth`` times."""
    level = [value]
    for _ in range(depth + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return False
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return True


def shaped(content: Any, shape: type[Shape]) -> Shape:
    """Return JSON values as a dataclass, or another type that msgspec knows; its annotations decide what is valid.

    Raises
    ------
    ValueError
        When a field is missing, has another type, or is outside the bounds of its annotation.

    Examples
    --------
    >>> shaped([1, 2], tuple[int, int])
    (1, 2)
    """
    try:
        return msgspec.convert(content, shape)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error


def read_sealed(path: Path, shape: type[Shape], remedy: str = "Restore it, or delete it and run again.") -> Shape:
    """Read a sealed file.

    Parameters
    ----------
    path : Path
    shape : type
        Type of the content; see `shaped`.
    remedy : str
        Last sentence of the message when the file is damaged.

    Raises
    ------
    DamagedFileError
        When the file is not what was written.
    OSError
        When it cannot be read.
    """
    try:
        return shaped(unseal(read_regular_file(path)), shape)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged ({error}). {remedy}") from error


def write_sealed(path: Path, content: Any) -> None:
    """Write a dictionary or a dataclass as a sealed file, atomically and durably."""
    values: Any = asdict(content) if is_dataclass(content) and not isinstance(content, type) else content
    write_bytes(path, seal(values))
