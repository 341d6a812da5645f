"""What the tokens of a data set look like in their text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import decoded_vocabulary
from probing_datasets.feature_dataset import FeatureDataset
from sparse_probing.activations.statistics.token_classes import TokenNumbers

TOKENS_BEFORE, TOKENS_AFTER = 12, 6
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""How bytes that are no whole character are decoded."""


class TokenTexts:
    """Strings and contexts of tokens by their numbers; every token is decoded once."""

    def __init__(self, dataset: FeatureDataset, tokenizer: PreTrainedTokenizerFast) -> None:
        self.numbers = TokenNumbers.of(dataset)
        self._dataset = dataset
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[str, str]] = {}

    def token_and_context(self, numbers: np.ndarray) -> tuple[list[str], list[str]]:
        """Return the string of each token, and a piece of text in which the token stands between « and »."""
        new = np.array(sorted(set(numbers.tolist()) - self._known.keys()), dtype=np.int64)
        self._known.update(zip(new.tolist(), self._decode(new), strict=True))
        pairs = [self._known[number] for number in numbers.tolist()]
        return [token for token, _ in pairs], [context for _, context in pairs]

    @cached_property
    def _vocabulary(self) -> list[str]:
        return decoded_vocabulary(self._tokenizer)

    def _decode(self, numbers: np.ndarray) -> list[tuple[str, str]]:
        sequence, position = self.numbers.place(numbers)
        distinct, inverse = np.unique(sequence, return_inverse=True)
        tokens = self._dataset.tokens(distinct)
        windows = [_window(tokens[i], p) for i, p in zip(inverse, position.tolist(), strict=True)]
        pieces = [self._texts([part[i] for part in windows]) for i in range(3)]
        strings = [self._vocabulary[tokens[i][p]] for i, p in zip(inverse, position.tolist(), strict=True)]
        return list(zip(strings, map(_mark, *pieces), strict=True))

    def _texts(self, ids: Sequence[list[int]]) -> list[str]:
        return [str(self._tokenizer.decode(some, clean_up_tokenization_spaces=False)) for some in ids]


def _window(tokens: np.ndarray, position: int) -> tuple[list[int], list[int], list[int]]:
    """Ids before a token, up to it, and up to the end of its context, each from the start of the context."""
    start = max(position - TOKENS_BEFORE, 0)
    stops = (position, position + 1, position + 1 + TOKENS_AFTER)
    before, through, whole = (tokens[start:stop].tolist() for stop in stops)
    return before, through, whole


def _mark(before: str, through: str, whole: str) -> str:
    """Mark what the token adds to the text; a part of a character adds nothing until it is whole."""
    start, stop = (len(text.rstrip(INCOMPLETE)) for text in (before, through))
    return f"{whole[:start]}«{whole[start:stop]}»{whole[stop:]}"
