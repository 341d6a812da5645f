"""Compare the files of a store with their records, to name the damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.manifest.part_records import PartLedger
from sparse_probing.activations.stores.manifest.plan_file import HEADER, Header
from sparse_probing.activations.stores.manifest.provenance import PROVENANCE, provenance_is_intact
from sparse_probing.activations.stores.storage.checksums import Reason
from sparse_probing.activations.stores.storage.files import file_exists, file_sizes
from sparse_probing.activations.stores.storage.locations import StorePath

Place = tuple[str | None, int | None]
"""The hook point and layer that a file holds; None where it holds several."""

PlacesOf = Callable[[int], Mapping[str, Place]]
"""The files of a part by name, with what they hold."""


@dataclass(frozen=True)
class Damage:
    """One damaged file of a store."""

    hook_point: str | None
    """None when the file does not belong to one hook point."""
    layer: int | None
    """None when the file does not belong to one layer."""
    part: int | None
    """None when the file describes the whole store."""
    path: StorePath
    reason: Reason

    def __str__(self) -> str:
        place = {"hook point": self.hook_point, "layer": self.layer, "part": self.part}
        known = ", ".join(f"{name} {value}" for name, value in place.items() if value is not None)
        return f"{known or 'whole store'}: {self.path}: {self.reason}"


def damaged_metadata(root: StorePath, header: Header) -> Iterator[Damage]:
    """Yield the files outside the parts that are missing or have changed."""
    try:
        header_is_intact = Header.read(root, header.kind) == header
    except StoreError:
        header_is_intact = False
    if not header_is_intact:
        yield Damage(None, None, None, root / HEADER, "unreadable record")
    if not provenance_is_intact(root):
        yield Damage(None, None, None, root / PROVENANCE, "unreadable record")
    for name, record in header.files.items():
        if reason := record.damage(root / name):
            yield Damage(None, None, None, root / name, reason)


def damaged_part(root: StorePath, part: int, ledger: PartLedger, places: Mapping[str, Place]) -> Iterator[Damage]:
    """Yield the files of a finished part that are missing or have changed, or its record if that is damaged."""
    record = ledger.read(part)
    if record is None:
        if file_exists(ledger.path(part)):
            yield Damage(None, None, part, ledger.path(part), "unreadable record")
        return
    for name, (hook_point, layer) in places.items():
        if reason := record[name].damage(root / name):
            yield Damage(hook_point, layer, part, root / name, reason)


def damaged_sizes(root: StorePath, parts: Iterable[int], ledger: PartLedger, places_of: PlacesOf) -> Iterator[Damage]:
    """Yield the files of the finished parts among ``parts`` that are missing or have another size; none is read.

    A store behind a URL is listed once; on a disk each file is looked up.
    """
    records = {part: record for part in parts if (record := ledger.get(part)) is not None}
    sizes = file_sizes(root, {name for record in records.values() for name in record})
    for part, record in records.items():
        for name, (hook_point, layer) in places_of(part).items():
            if name not in sizes:
                yield Damage(hook_point, layer, part, root / name, "missing")
            elif sizes[name] != record[name].nbytes:
                yield Damage(hook_point, layer, part, root / name, "wrong size")
