"""Which of two tokens comes next (`` the`` or `` an``), probed at the position before.

The context ends before this token, so that a probe finds what the model expects, not what it reads.
A position is positive when the first of the pair comes next, negative when the second does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import tokens_that_read
from probing_datasets.building.context_windows import POSITIVE, assemble_contexts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.text_rows import TextRow

SECOND_COMES_NEXT = 2
"""The kind of negatives."""


@dataclass(frozen=True)
class NextTokenConfig(MakeConfig):
    """Settings of `next_token`."""

    collection: Suppress[CollectionName] = "next_token"
    pairs: tuple[str, ...] = (" the| an",)
    """Pairs of tokens, `FIRST|SECOND`, exactly as in the text, with their leading spaces if they have some."""
    context_length: int | None = 64
    texts_per_label: int = 100_000

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        invalid = [p for p in self.pairs if len(set(p.split("|"))) != 2 or not all(t.strip() for t in p.split("|"))]
        if invalid or not self.pairs:
            raise SettingsError(f"--pairs must be pairs of tokens like ' the| an', not {invalid or 'empty'}.")


def build(config: NextTokenConfig) -> FeatureDataset:
    """Build ``<first>-<second>`` for each pair on any text; no label column is needed."""
    pairs = [pair.split("|") for pair in config.pairs]
    find = partial(find_pairs, pairs=tuple((first, second) for first, second in pairs))
    names = ["-".join(token.strip() for token in pair) for pair in pairs]
    return assemble_contexts(config, read_texts(config), find, names)


def find_pairs(row: TextRow, spans: np.ndarray, pairs: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Return (tokens, pairs) int8: which token of a pair follows a token."""
    values = np.zeros((len(spans), len(pairs)), np.int8)
    for column, pair in enumerate(pairs):
        for string, kind in zip(pair, (POSITIVE, SECOND_COMES_NEXT), strict=True):
            following = tokens_that_read(row.text, spans, string)
            values[following[following > 0] - 1, column] = kind
    return values
