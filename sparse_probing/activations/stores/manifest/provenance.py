"""The settings and versions with which a store was made: a record for people, which nothing depends on."""

from __future__ import annotations

from typing import Any

from probing_datasets.foundation.errors import CorruptStoreError
from probing_datasets.foundation.files.regular_files import MAX_BYTES
from probing_datasets.foundation.files.sealed_json import seal, unseal
from probing_datasets.foundation.provenance import provenance
from sparse_probing.activations.stores.storage.files import file_exists, read_file, write_file
from sparse_probing.activations.stores.storage.locations import StorePath

PROVENANCE = "provenance.json"


def write_provenance(root: StorePath, config: dict[str, Any]) -> None:
    """Record the settings and the versions of packages beside a store, unless a record exists."""
    if not file_exists(root / PROVENANCE):
        write_file(root / PROVENANCE, seal({"config": config, "versions": provenance()}))


def read_provenance(root: StorePath) -> dict[str, Any] | None:
    """Return ``{"config": ..., "versions": ...}`` of a store, or None when nothing was recorded.

    Raises
    ------
    CorruptStoreError
        When the record has changed since it was written.
    """
    try:
        return unseal(read_file(root / PROVENANCE, MAX_BYTES))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CorruptStoreError(
            f"{root / PROVENANCE} was edited or damaged ({error}). Delete it: nothing depends on it."
        ) from error


def provenance_is_intact(root: StorePath) -> bool:
    """Whether the record of a store has not changed since it was written, or does not exist."""
    try:
        read_provenance(root)
    except (OSError, CorruptStoreError):
        return False
    return True
