"""Checksums of the files of a store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from probing_datasets.foundation.hashing import checksum
from sparse_probing.activations.stores.storage.files import file_size, read_blocks
from sparse_probing.activations.stores.storage.locations import StorePath

Reason = Literal["missing", "wrong size", "checksum differs", "cannot be read", "unreadable record"]


@dataclass(frozen=True)
class FileRecord:
    """Length and checksum of a file when it was written."""

    nbytes: Annotated[int, Meta(ge=0, lt=2**62)]
    xxh3_128: Annotated[str, Meta(max_length=32)]

    @classmethod
    def of(cls, data: bytes | memoryview) -> FileRecord:
        """Return the record of a file with these bytes."""
        return cls(memoryview(data).nbytes, checksum([data]))

    @classmethod
    def of_file(cls, path: StorePath) -> FileRecord:
        """Return the record of a file as it is now."""
        return cls(file_size(path), checksum(read_blocks(path)))

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)

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
