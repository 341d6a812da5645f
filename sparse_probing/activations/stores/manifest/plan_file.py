"""The header of a store, ``plan.json``: its plan and the checksums of its metadata files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import msgspec

from probing_datasets.foundation.errors import CorruptStoreError, DamagedFileError, StoreError, StoreFormatError
from probing_datasets.foundation.files.path_names import path_name
from probing_datasets.foundation.files.regular_files import MAX_BYTES
from probing_datasets.foundation.files.sealed_json import shaped, unseal
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.stores.manifest.row_index import ROWS
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.files import read_file
from sparse_probing.activations.stores.storage.locations import StorePath

HEADER = "plan.json"


class HeaderContent(msgspec.Struct):
    """Shape of the file."""

    store: Annotated[str, msgspec.Meta(max_length=20)]
    plan: dict[str, Any]
    files: dict[str, FileRecord]


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
        files = {name: record.to_json() for name, record in self.files.items()}
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
        remedy = "Restore it from a copy, or make the store again with --overwrite."
        try:
            content = shaped(unseal(read_file(root / HEADER, MAX_BYTES)), HeaderContent)
            header = cls(content.store, StorePlan.from_json(content.plan), content.files)
            for name in header.files:
                for component in name.split("/"):
                    path_name(component, f"{root / HEADER}")
            if ROWS not in header.files:
                raise ValueError(f"it does not record {ROWS}")
        except OSError as error:
            raise StoreError(
                f"There is no activation store at {root} ({HEADER}: {error.strerror}). "
                "Make it with get_activations.py, or correct RESULTS_DIR."
            ) from error
        except StoreFormatError:
            raise
        except (ValueError, StoreError, DamagedFileError) as error:
            raise CorruptStoreError(
                f"{root / HEADER} was edited or damaged ({str(error).rstrip('.')}). {remedy}"
            ) from error
        if kind not in (None, header.kind):
            raise StoreError(f"{root} is a {header.kind} store, not {kind}. Open it with open_store().")
        return header
