"""Checksums of the files of a store, and JSON files that contain their own digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from probing_datasets.foundation.hashing import checksum, digest_json
from sparse_probing.activations.stores.storage.files import file_size, read_blocks
from sparse_probing.activations.stores.storage.locations import StorePath

Reason = Literal["missing", "wrong size", "checksum differs", "cannot be read", "unreadable record"]


@dataclass(frozen=True)
class FileRecord:
    """Length and checksum of a file when it was written."""

    nbytes: int
    xxh3_128: str

    @classmethod
    def of(cls, data: bytes | memoryview) -> FileRecord:
        """Return the record of a file with these bytes."""
        return cls(memoryview(data).nbytes, checksum([data]))

    def damage(self, path: StorePath) -> Reason | None:
        """Return what is wrong with the file at ``path``, or None; StoreError when its place cannot be reached."""
        try:
            if file_size(path) != self.nbytes:
                return "wrong size"
            return None if checksum(read_blocks(path)) == self.xxh3_128 else "checksum differs"
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "cannot be read"


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
    value = json.loads(data)
    if not isinstance(value, dict) or not isinstance(value.get("content"), dict):
        raise ValueError("not a sealed file")
    if seal(value["content"]) != data:
        raise ValueError("the content does not have the recorded digest")
    return value["content"]
