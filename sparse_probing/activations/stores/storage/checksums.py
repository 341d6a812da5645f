"""Checksums of the files of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from probing_datasets.foundation.hashing import checksum
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
