"""What is in a store, from what it was made, and how complete it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.storage.files import file_sizes
from sparse_probing.activations.stores.storage.locations import StorePath

PartRange = tuple[int, int]
"""First and last part."""


@dataclass(frozen=True)
class Description:
    """A store, as a person or a script wants to know it."""

    path: str
    kind: str
    """The encoding: a key of ``STORES``."""
    fingerprint: dict[str, Any]
    """What decided the numbers: model, revision, weight hash, data set, aggregation."""
    layers: tuple[int, ...]
    widths: dict[str, int]
    """Columns (neurons) of each hook point."""
    n_rows: int
    precision: str
    n_parts: int
    n_finished: int
    missing: tuple[PartRange, ...]
    """Parts without a valid record, as ranges with both ends."""
    n_files: int
    nbytes: int
    """Bytes of all files, those of unfinished parts and other leftovers included."""

    @property
    def is_complete(self) -> bool:
        """Whether every part is finished."""
        return not self.missing

    def to_json(self) -> str:
        """Return all fields as JSON text."""
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        layers = f"{len(self.layers)} ({show_ranges(number_ranges(self.layers))})"
        lines = {
            "store": f"{self.path} ({self.kind})",
            **{name: "-" if value is None else str(value) for name, value in self.fingerprint.items()},
            "hook points": ", ".join(f"{hook_point} ({width:,} wide)" for hook_point, width in self.widths.items()),
            "layers": layers,
            "rows": f"{self.n_rows:,}",
            "precision": self.precision,
            "parts": f"{self.n_finished:,} of {self.n_parts:,}",
            "missing parts": show_ranges(self.missing) or "none",
            "on disk": f"{self.nbytes / 1e9:.3f} GB in {self.n_files:,} files",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def describe(path: StorePath) -> Description:
    """Describe the store at ``path``, reading only its plan and its records; StoreError when there is none."""
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


def number_ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return increasing numbers as ranges with both ends.

    Examples
    --------
    >>> number_ranges([0, 1, 2, 5, 7, 8])
    ((0, 2), (5, 5), (7, 8))
    """
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return tuple((run[0], run[-1]) for run in runs)


def show_ranges(ranges: Iterable[tuple[int, int]]) -> str:
    """Return ranges as text.

    Examples
    --------
    >>> show_ranges([(0, 2), (5, 5)])
    '0-2, 5'
    """
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
