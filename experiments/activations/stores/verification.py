"""Reading every file of a store again, to name what is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.activations.stores.header import HEADER, Header
from experiments.activations.stores.ledger import PartLedger
from experiments.activations.stores.records import Reason
from probing_datasets.foundation.errors import StoreError

Place = tuple[str | None, int | None]
"""The hook point and layer that a file holds; None where it holds several."""


@dataclass(frozen=True)
class Damage:
    """One damaged file of a store."""

    hook_point: str | None
    """None when the file does not belong to one hook point."""
    layer: int | None
    """None when the file does not belong to one layer."""
    part: int | None
    """None when the file describes the whole store."""
    path: Path
    reason: Reason

    def __str__(self) -> str:
        place = {"hook point": self.hook_point, "layer": self.layer, "part": self.part}
        known = ", ".join(f"{name} {value}" for name, value in place.items() if value is not None)
        return f"{known or 'whole store'}: {self.path}: {self.reason}"


def damaged_metadata(root: Path, header: Header) -> Iterator[Damage]:
    """Yield the files outside the parts that are not as they were written."""
    if not _stands(root, header):
        yield Damage(None, None, None, root / HEADER, "unreadable record")
    for name, record in header.files.items():
        if reason := record.damage(root / name):
            yield Damage(None, None, None, root / name, reason)


def damaged_part(root: Path, part: int, ledger: PartLedger, places: Mapping[str, Place]) -> Iterator[Damage]:
    """Yield the files of a finished part that are not as they were written, or its record if that is not."""
    record = ledger.read(part)
    if record is None:
        if ledger.path(part).exists():
            yield Damage(None, None, part, ledger.path(part), "unreadable record")
        return
    for name, (hook_point, layer) in places.items():
        if reason := record[name].damage(root / name):
            yield Damage(hook_point, layer, part, root / name, reason)


def _stands(root: Path, header: Header) -> bool:
    try:
        return Header.read(root, header.kind) == header
    except StoreError:
        return False
