"""The header of a store, ``plan.json``: its plan and the checksums of its metadata files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.hashing import digest_json
from probing_datasets.foundation.sealed_json import unseal
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import read_file
from sparse_probing.activations.stores.storage.locations import StorePath

HEADER = "plan.json"


@dataclass(frozen=True)
class Header:
    """Content of ``plan.json``."""

    kind: str
    """The encoding: a key of ``STORES``."""
    plan: StorePlan
    files: dict[str, FileRecord]
    """The row index and the metadata of the encoding, by name."""

    def to_json(self) -> dict[str, Any]:
        """Return the header as plain JSON values."""
        files = {name: asdict(record) for name, record in self.files.items()}
        return {"store": self.kind, "plan": self.plan.to_json(), "files": files}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the header; every record of a part contains it."""
        return digest_json(self.to_json())

    @classmethod
    def read(cls, root: StorePath, kind: str | None = None) -> Header:
        """Read the header of a store of the given encoding (default: any).

        Raises
        ------
        StoreError
            When there is no store, or it has another encoding or format version.
        CorruptStoreError
            When the file has changed since it was written.
        """
        try:
            content = unseal(read_file(root / HEADER))
        except OSError as error:
            raise StoreError(
                f"There is no activation store at {root} ({HEADER}: {error.strerror}). "
                "Make it with get_activations.py, or correct RESULTS_DIR."
            ) from error
        except ValueError as error:
            raise CorruptStoreError(
                f"{root / HEADER} was edited or damaged ({error}). "
                "Restore it from a copy, or make the store again with --overwrite."
            ) from error
        existing_kind = content["store"]
        if kind not in (None, existing_kind):
            raise StoreError(f"{root} is a {existing_kind} store, not {kind}. Open it with open_store().")
        files = {name: FileRecord(**record) for name, record in content["files"].items()}
        return cls(existing_kind, StorePlan.from_json(content["plan"]), files)
