"""Terms of two words against the same words apart (``compound_words`` of Gurnee et al. 2023).

The probed token is the last one of a word, at the end of a short context. It is positive when the word is the
second of the term and stands behind the first; negative when it is the second behind another word, or
any other word behind the first. Half of the negatives are of each kind. Words are compared in lower case
and must be parted by white space alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import last_tokens
from probing_datasets.building.context_windows import POSITIVE, assemble_contexts
from probing_datasets.building.sources import TextRow
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig

TERMS = (
    "high school",
    "living room",
    "social security",
    "credit card",
    "blood pressure",
    "prime factors",
    "social media",
    "gene expression",
    "control group",
    "magnetic field",
    "cell lines",
    "trial court",
    "second derivative",
    "north america",
    "human rights",
    "side effects",
    "public health",
    "federal government",
    "third party",
    "clinical trials",
    "mental health",
)
"""The paper's 21."""

SECOND_ALONE, FIRST_ALONE = 2, 3
"""Kinds of negatives."""

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class CompoundWordsConfig(MakeConfig):
    """Settings of `compound_words`, with the paper's sizes."""

    collection: Suppress[CollectionName] = "compound_words"
    terms: tuple[str, ...] = TERMS
    """Terms of two words."""
    context_length: int | None = 24
    texts_per_label: int = 100_000
    rows_per_feature: int = 8000
    positive_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        wrong = [term for term in self.terms if len(WORD.findall(term)) != 2]
        if wrong or not self.terms:
            raise SettingsError(f"--terms must each be two words, as 'high school'; not {wrong or 'none at all'}.")


def build(config: CompoundWordsConfig) -> FeatureDataset:
    """Build ``<first>-<second>`` for each term on any text; no label column is needed."""
    terms = [WORD.findall(term.lower()) for term in config.terms]
    find = partial(find_terms, terms=tuple((first, second) for first, second in terms))
    return assemble_contexts(config, read_texts(config), find, ["-".join(term) for term in terms])


def find_terms(row: TextRow, spans: np.ndarray, terms: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Return (tokens, terms) int8: what the last token of a word is to a term."""
    found = np.array(list(_kinds_of_words(row.text, terms)), np.int64).reshape(-1, 3)
    token = last_tokens(spans, found[:, 0] - 1)
    covered = token >= 0
    values = np.zeros((len(spans), len(terms)), np.int8)
    values[token[covered], found[covered, 1]] = found[covered, 2]
    return values


def _kinds_of_words(text: str, terms: tuple[tuple[str, str], ...]) -> Iterator[tuple[int, int, int]]:
    """Yield the end of a word, the number of a term, and what the word is to it."""
    with_first, with_second = ({term[i]: [] for term in terms} for i in (0, 1))
    for number, (first, second) in enumerate(terms):
        with_first[first].append(number)
        with_second[second].append(number)
    before, end_before = "", 0
    for match in WORD.finditer(text):
        word, (start, stop) = match.group().lower(), match.span()
        if not text[end_before:start].isspace():
            before = ""
        for number in with_second.get(word, ()):
            yield stop, number, POSITIVE if before == terms[number][0] else SECOND_ALONE
        for number in with_first.get(before, ()):
            if word != terms[number][1]:
                yield stop, number, FIRST_ALONE
        before, end_before = word, stop
