"""Records of the finished parts of a store: one sealed file per part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from probing_datasets.foundation.files.sealed_json import seal, shaped, unseal
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import file_sizes, read_files, remove_file, write_file
from sparse_probing.activations.stores.storage.locations import StorePath

PARTS = "parts"
MOST_LOOK_UPS = 100

PartRecord = dict[str, FileRecord]
"""Name of every file of a part -> its length and checksum."""


class RecordContent(msgspec.Struct, forbid_unknown_fields=True):
    """Shape of the file of a record."""

    plan: str
    part: int
    files: PartRecord


class PartLedger:
    """The records in ``parts/``; a part without a valid record is not finished.

    Parameters
    ----------
    root : StorePath
        Folder of the store.
    plan_digest : str
        Digest of the store's header; a record with another digest is not valid.
    names_of : Callable[[int], Collection[str]]
        The files that a part must have.
    """

    def __init__(self, root: StorePath, plan_digest: str, names_of: Callable[[int], Collection[str]]) -> None:
        self._root = root
        self._plan_digest = plan_digest
        self._names_of = names_of
        self._known: dict[int, PartRecord] = {}

    def path(self, part: int) -> StorePath:
        """Return the file of the record of a part."""
        return self._root / PARTS / f"{part:06d}.json"

    def get(self, part: int) -> PartRecord | None:
        """Return the valid record of a part, or None; a record that was read once is not read again."""
        self._load([part])
        return self._known.get(part)

    def missing(self, parts: Iterable[int]) -> list[int]:
        """Return the given parts that have no valid record."""
        parts = list(parts)
        self._load(parts)
        return [part for part in parts if part not in self._known]

    def read(self, part: int) -> PartRecord | None:
        """Read the record of a part from the disk again; None when it is missing or not valid."""
        return self._decode(part, *read_files([self.path(part)]))

    def _load(self, parts: Iterable[int]) -> None:
        unknown = [part for part in parts if part not in self._known]
        if len(unknown) > MOST_LOOK_UPS:  # one listing costs less than to look for every part
            existing = file_sizes(self._root / PARTS)
            unknown = [part for part in unknown if self.path(part).name in existing]
        for part, data in zip(unknown, read_files([self.path(part) for part in unknown]), strict=True):
            record = self._decode(part, data)
            if record is not None:
                self._known[part] = record

    def _decode(self, part: int, data: bytes | None) -> PartRecord | None:
        try:
            content = shaped(unseal(data or b""), RecordContent)
        except ValueError:
            return None
        if (content.plan, content.part) != (self._plan_digest, part) or set(content.files) != set(self._names_of(part)):
            return None
        return content.files

    def digest(self, n_parts: int) -> str:
        """Return the SHA-256 of the plan and the records of all parts."""
        self._load(range(n_parts))
        records = [_to_json(self.get(part) or {}) for part in range(n_parts)]
        return digest_json([self._plan_digest, records])

    def write(self, part: int, record: PartRecord) -> None:
        """Write the record of a part durably: from now on the part is finished."""
        write_file(self.path(part), seal(self._content(part, _to_json(record))))
        self._known[part] = record

    def discard(self, part: int) -> None:
        """Remove the record of a part, if there is one, durably."""
        self._known.pop(part, None)
        remove_file(self.path(part))

    def _content(self, part: int, files: dict[str, Any]) -> dict[str, Any]:
        return {"plan": self._plan_digest, "part": part, "files": files}


def _to_json(record: PartRecord) -> dict[str, Any]:
    return {name: file.to_json() for name, file in record.items()}
