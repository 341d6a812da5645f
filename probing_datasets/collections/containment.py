"""Whether a token is inside quotes or brackets: one binary feature per kind (a stub in Gurnee et al. 2023).

A token is positive when its first character is between an opening delimiter and its closing delimiter;
the delimiters are negative. Brackets of a kind may be nested. Brackets that are never closed, or never opened,
are ignored, and so are pairs with nothing or with more than ``max_span`` characters between them.
Straight quotes open and close in turn within a paragraph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import at_first_character, inside
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import every_position
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.text_rows import TextRow

Intervals = list[tuple[int, int]]
"""Characters [start, stop)."""

DELIMITERS: dict[str, tuple[str, str]] = {
    "quotes": ('"“', '"”'),
    "parentheses": ("(", ")"),
    "brackets": ("[", "]"),
    "braces": ("{", "}"),
    "angle_brackets": ("<", ">"),
}
"""Opening and closing characters of each kind."""

PARAGRAPH_END = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class ContainmentConfig(MakeConfig):
    """Settings of `containment`."""

    collection: Suppress[CollectionName] = "containment"
    max_span: int = 1000
    """Quotes and brackets around more characters than this are treated as unclosed."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        if self.max_span < 1:
            raise SettingsError(f"--max_span must be at least 1, not {self.max_span}.")


def build(config: ContainmentConfig) -> FeatureDataset:
    """Build ``in_<kind>`` for each kind of delimiter on any text; no label column is needed."""
    annotate = partial(containment_of_tokens, max_span=config.max_span)
    sequences = cut_texts(config, read_texts(config), annotate)
    candidates = every_position(config, sequences)
    inside_of = candidates.take(sequences.annotations)
    labels = ((f"in_{name}", Labels("binary", inside_of[:, i])) for i, name in enumerate(DELIMITERS))
    return assemble(config, sequences, candidates, labels)


def containment_of_tokens(row: TextRow, spans: np.ndarray, max_span: int) -> np.ndarray:
    """Return (tokens, kinds) bool: whether the first character of a token is inside delimiters of a kind."""
    intervals = (enclosed(row.text, *delimiters, max_span) for delimiters in DELIMITERS.values())
    return np.stack([at_first_character(spans, inside(len(row.text), each)) for each in intervals], axis=1)


def enclosed(text: str, opening: str, closing: str, max_span: int) -> Intervals:
    """Return the characters between delimiters, without the delimiters; nested intervals are included.

    Parameters
    ----------
    text : str
    opening, closing : str
        Characters that open and close. One that does both opens if none is open in the same paragraph.
    max_span : int
        Most characters between them.
    """
    intervals: Intervals = []
    is_open: list[int] = []
    for match in re.finditer(f"[{re.escape(opening + closing)}]|{PARAGRAPH_END.pattern}", text):
        sign, place = match.group(), match.start()
        if sign in closing and is_open:
            start = is_open.pop() + 1
            if start < place <= start + max_span:
                intervals.append((start, place))
        elif sign in opening:
            is_open.append(place)
        elif '"' in opening and len(sign) > 1:
            is_open.clear()
    return intervals
