"""The strings of tokens of a data set, and the text around them."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import decoded_vocabulary
from probing_datasets.feature_dataset import FeatureDataset
from sparse_probing.activations.statistics.token_classes import TokenNumbers

TOKENS_BEFORE, TOKENS_AFTER = 12, 6
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""The decoding of bytes that are not a whole character."""


class TokenTexts:
    """Strings and contexts of tokens by their numbers; every token is decoded once."""

    def __init__(self, dataset: FeatureDataset, tokenizer: PreTrainedTokenizerFast) -> None:
        self.numbers = TokenNumbers.of(dataset)
        self._dataset = dataset
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[str, str]] = {}
        self._vocabulary: list[str] | None = None

    def token_and_context(self, numbers: np.ndarray) -> tuple[list[str], list[str]]:
        """Return the string of each token, and the text around it with the token between « and »."""
        new = np.array(sorted(set(numbers.tolist()) - self._known.keys()), dtype=np.int64)
        self._known.update(zip(new.tolist(), self._decode(new), strict=True))
        pairs = [self._known[number] for number in numbers.tolist()]
        return [token for token, _ in pairs], [context for _, context in pairs]

    def _decode(self, numbers: np.ndarray) -> list[tuple[str, str]]:
        """Return the string and the context of each token."""
        if self._vocabulary is None:
            self._vocabulary = decoded_vocabulary(self._tokenizer)
        sequence, position = self.numbers.place(numbers)
        distinct, inverse = np.unique(sequence, return_inverse=True)
        tokens_of = self._dataset.tokens(distinct)

        decoded = []
        for index, place in zip(inverse, position.tolist(), strict=True):
            tokens = tokens_of[index]
            # The ids before the token, up to it, and up to the end of its context, each from the start of the context.
            start = max(place - TOKENS_BEFORE, 0)
            stops = (place, place + 1, place + 1 + TOKENS_AFTER)
            before, through, whole = (
                str(self._tokenizer.decode(tokens[start:stop].tolist(), clean_up_tokenization_spaces=False))
                for stop in stops
            )
            decoded.append((self._vocabulary[tokens[place]], mark_token(before, through, whole)))
        return decoded


def mark_token(before: str, through: str, whole: str) -> str:
    """Put « and » around what a token adds to a text; bytes of an incomplete character add nothing.

    Parameters
    ----------
    before, through, whole : str
        The text before the token, up to its end, and up to the end of its context.
    """
    start, stop = (len(text.rstrip(INCOMPLETE)) for text in (before, through))
    return f"{whole[:start]}«{whole[start:stop]}»{whole[stop:]}"
