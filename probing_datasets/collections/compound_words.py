"""Terms of two words, compared with the same words apart (``compound_words`` of Gurnee et al. 2023).

The probed token is the last one of a word, at the end of a short context. It is positive when the word is the
second of the term and follows the first; negative when it is the second and follows another word, or
when it is another word and follows the first. Half of the negatives are of each kind. Words are compared in
lower case, and only white space may separate them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import last_tokens
from probing_datasets.building.context_windows import POSITIVE, assemble_contexts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.text_rows import TextRow

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
"""The 21 terms of the paper."""

SECOND_ONLY, FIRST_ONLY = 2, 3
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
        invalid = [term for term in self.terms if len(WORD.findall(term)) != 2]
        if invalid or not self.terms:
            raise SettingsError(f"--terms must be terms of two words like 'high school', not {invalid or 'empty'}.")


def build(config: CompoundWordsConfig) -> FeatureDataset:
    """Build ``<first>-<second>`` for each term on any text; no label column is needed."""
    terms = [WORD.findall(term.lower()) for term in config.terms]
    find = partial(find_terms, terms=tuple((first, second) for first, second in terms))
    return assemble_contexts(config, read_texts(config), find, ["-".join(term) for term in terms])


def find_terms(row: TextRow, spans: np.ndarray, terms: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Return (tokens, terms) int8: for the last token of each word, `POSITIVE` or the kind of negative."""
    with_first, with_second = ({term[i]: [] for term in terms} for i in (0, 1))
    for number, (first, second) in enumerate(terms):
        with_first[first].append(number)
        with_second[second].append(number)

    # (end of a word, number of a term, kind), one row for each word that belongs to a term.
    words: list[tuple[int, int, int]] = []
    before, end_before = "", 0
    for match in WORD.finditer(row.text):
        word, (start, stop) = match.group().lower(), match.span()
        if not row.text[end_before:start].isspace():
            before = ""
        for number in with_second.get(word, ()):
            words.append((stop, number, POSITIVE if before == terms[number][0] else SECOND_ONLY))
        for number in with_first.get(before, ()):
            if word != terms[number][1]:
                words.append((stop, number, FIRST_ONLY))
        before, end_before = word, stop

    ends, numbers, kinds = np.array(words, np.int64).reshape(-1, 3).T
    token = last_tokens(spans, ends - 1)
    has_token = token >= 0
    values = np.zeros((len(spans), len(terms)), np.int8)
    values[token[has_token], numbers[has_token]] = kinds[has_token]
    return values
