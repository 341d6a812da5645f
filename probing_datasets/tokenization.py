"""Tokenizers by model name, their identity, and texts cut into token sequences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from probing_datasets.foundation.errors import ModelError
from probing_datasets.model_names import resolve_model_name

MAX_CHARACTERS = 200_000
"""Longer texts are cut here before tokenization, so that one gigantic document costs bounded time."""


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer of a model.

    Raises
    ------
    ModelError
        When there is no such tokenizer, or it is not a fast one.
    """
    path = resolve_model_name(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    except Exception as error:  # a damaged file makes `tokenizers` raise a bare Exception
        raise ModelError(
            f"No tokenizer could be loaded for {name!r} (looked for {path!r}): {_first_line(error)} "
            "Give `demo`, a local model folder, a TransformerLens alias or a hub id; a hub id needs the network "
            "or a filled HF_HOME cache."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"The tokenizer of {name!r} is not a fast one; convert it with `tokenizers` first.")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers makes up an empty one where a model folder has no tokenizer files.
        raise ModelError(f"There is no tokenizer beside the model {name!r} ({path}). Save one there.")
    return tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."


def tokenizer_hash(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a SHA-256 (hex) of what maps text to ids; padding and truncation settings left out."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class SpecialFrame:
    """Special tokens put around every sequence."""

    prefix: tuple[int, ...]
    """Ids before the text: [CLS], or the beginning-of-sequence token."""
    suffix: tuple[int, ...]
    """Ids after the text: [SEP], where the tokenizer has one."""

    @property
    def size(self) -> int:
        """Number of special tokens in a sequence."""
        return len(self.prefix) + len(self.suffix)


def special_frame(tokenizer: PreTrainedTokenizerFast, prepend_bos: bool) -> SpecialFrame:
    """Find the special tokens that the tokenizer, and ``prepend_bos``, put around a text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, special = list(encoded["input_ids"]), list(encoded["special_tokens_mask"])
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    prefix, suffix = tuple(ids[:first]), tuple(ids[last:])
    if prepend_bos and not prefix and tokenizer.bos_token_id is not None:
        prefix = (int(tokenizer.bos_token_id),)  # type: ignore[arg-type] (a list only for several tokens)
    return SpecialFrame(prefix, suffix)


def tokenize_in_chunks(
    tokenizer: PreTrainedTokenizerFast, frame: SpecialFrame, texts: list[str], context_length: int
) -> Iterator[list[np.ndarray]]:
    """Yield, for each text, its sequences: consecutive chunks of at most ``context_length`` ids.

    Each chunk is an int32 array with the special tokens of ``frame`` around it. A special token that
    is spelt out in a text (``<|endoftext|>`` in a web page) is text.
    """
    room = context_length - frame.size
    cut = [text[:MAX_CHARACTERS] for text in texts]
    for ids in _token_ids(tokenizer, cut):
        chunks = [ids[start : start + room] for start in range(0, len(ids), room)]
        yield [np.array([*frame.prefix, *chunk, *frame.suffix], dtype=np.int32) for chunk in chunks]


def _token_ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


def decoded_vocabulary(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return what each token id adds to a running text, for all ids below the length of the tokenizer.

    Alone, an id is decoded as the start of a text, where SentencePiece drops the leading space and
    WordPiece keeps its ``##``; so each id is decoded behind a letter, which is then taken away.
    """
    (before,) = _token_ids(tokenizer, ["a"])
    texts = tokenizer.batch_decode(
        [before, *([*before, i] for i in range(len(tokenizer)))],
        skip_special_tokens=False,
        clean_up_tokenization_spaces=False,
    )
    return [text[len(texts[0]) :] for text in texts[1:]]
