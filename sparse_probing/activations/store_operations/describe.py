"""Describe a store: what is in it, what it was made from, and how complete it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.number_ranges import number_ranges, show_ranges
from sparse_probing.activations.stores.storage.files import file_sizes
from sparse_probing.activations.stores.storage.locations import StorePath

PartRange = tuple[int, int]
"""First and last part."""


@dataclass(frozen=True)
class Description:
    """The content and state of a store, for a person (as text) or a script (as JSON)."""

    path: str
    kind: str
    """The encoding: a key of ``STORES``."""
    fingerprint: dict[str, Any]
    """What decides the numbers: model, revision, weight hash, data set, aggregation."""
    layers: tuple[int, ...]
    widths: dict[str, int]
    """Columns (neurons) of each hook point."""
    n_rows: int
    precision: str
    n_parts: int
    n_finished: int
    missing: tuple[PartRange, ...]
    """Parts without a valid record, as ranges that include both ends."""
    n_files: int
    nbytes: int
    """Bytes of all files, including those of unfinished parts and temporary files."""

    @property
    def is_complete(self) -> bool:
        """Whether every part is finished."""
        return not self.missing

    def to_json(self) -> str:
        """Return all fields as JSON text."""
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        lines = {
            "store": f"{self.path} ({self.kind})",
            **{name: "-" if value is None else str(value) for name, value in self.fingerprint.items()},
            "hook points": ", ".join(f"{hook_point} ({width:,} wide)" for hook_point, width in self.widths.items()),
            "layers": f"{len(self.layers)} ({show_ranges(number_ranges(self.layers))})",
            "rows": f"{self.n_rows:,}",
            "precision": self.precision,
            "parts": f"{self.n_finished:,} of {self.n_parts:,}",
            "missing parts": show_ranges(self.missing) or "none",
            "on disk": f"{self.nbytes / 1e9:.3f} GB in {self.n_files:,} files",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def describe(path: StorePath) -> Description:
    """Describe the store at ``path`` from its plan and its records; StoreError when there is no store."""
    store = open_store(path)
    plan, sizes, missing = store.plan, file_sizes(path), store.open_parts()
    return Description(
        path=str(path),
        kind=store.kind,
        fingerprint=plan.fingerprint,
        layers=plan.layers,
        widths=plan.widths,
        n_rows=plan.n_rows,
        precision=plan.precision,
        n_parts=plan.n_parts,
        n_finished=plan.n_parts - len(missing),
        missing=number_ranges(missing),
        n_files=len(sizes),
        nbytes=sum(sizes.values()),
    )
