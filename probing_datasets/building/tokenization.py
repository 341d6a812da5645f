"""Tokenizers by model name, their identity, and the token ids and spans of texts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from probing_datasets.building.alignment import trim_spans
from probing_datasets.foundation.errors import ModelError, first_line
from probing_datasets.model_names import resolve_model_name
from probing_datasets.sources.hub_names import why_not_on_hub

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_CHARACTERS = 200_000
"""Longer texts are cut at this length before tokenization, so that a gigantic document takes bounded time."""


def load_tokenizer(name: str, revision: str | None = None, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer of a model.

    Parameters
    ----------
    name : str
        ``demo``, a local model folder, a TransformerLens alias or a hub id.
    revision : str, optional
        Revision on the hub.
    trust_remote_code : bool
        Whether Python code in the folder of the model may be run. Without it a class of transformers is used, if
        transformers has one for this tokenizer.

    Raises
    ------
    ModelError
        When there is no such tokenizer, it is not a fast one, or it needs code that is not trusted.
    """
    path = resolve_model_name(name)
    advice = (
        "Pass `demo`, a local model folder, a TransformerLens alias or a hub id; a hub id needs the network "
        "or a filled HF_HOME cache."
    )
    if reason := why_not_on_hub(path, "model", revision):
        raise ModelError(f"No tokenizer could be loaded for {name!r} (looked for {path!r}): {reason}. {advice}")

    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # slow to import

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:  # a damaged file makes `tokenizers` raise a bare Exception
        refuse_remote_code(error, f"The tokenizer of {name!r}", path)
        reason = first_line(error).rstrip(".")
        raise ModelError(
            f"No tokenizer could be loaded for {name!r} (looked for {path!r}): {reason}. {advice}"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"The tokenizer of {name!r} is not a fast one; convert it with `tokenizers` first.")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers creates an empty tokenizer for a model folder without tokenizer files.
        raise ModelError(f"The folder of model {name!r} ({path}) has no tokenizer. Save one in this folder.")
    return tokenizer


def refuse_remote_code(error: Exception, what: str, path: str) -> None:
    """Raise ModelError where transformers refused to run Python code of a model; return after any other error."""
    cause: BaseException | None = error
    while cause is not None:  # after a refusal, transformers may try another way, which fails too
        if "trust_remote_code=True" in str(cause):
            raise ModelError(
                f"{what} ({path}) is defined by Python code in its folder, which was not run: read this code, and pass "
                "--trust_remote_code if you trust it (trust_remote_code=True in Python)."
            ) from error
        cause = cause.__context__


def tokenizer_hash(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a SHA-256 (hex) of everything that maps text to ids; padding and truncation do not count."""
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
    """Ids after the text: [SEP], if the tokenizer has one."""

    @property
    def size(self) -> int:
        """Number of special tokens in a sequence."""
        return len(self.prefix) + len(self.suffix)

    def around(self, ids: np.ndarray) -> np.ndarray:
        """Return ids (int32) with the special tokens around them."""
        return np.concatenate([self.prefix, ids, self.suffix], dtype=np.int32, casting="unsafe")


def special_frame(tokenizer: PreTrainedTokenizerFast, prepend_bos: bool) -> SpecialFrame:
    """Return the special tokens that are put around every text.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    prepend_bos : bool
        Whether a sequence begins with what the tokenizer puts before a text ([CLS], <s>), or with its
        beginning-of-sequence token if it puts nothing there. Otherwise nothing comes before the text, even where the
        tokenizer would add it. What the tokenizer puts after a text ([SEP], </s>) is kept in both cases.
    """
    text = tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(ids)) if ids[i : i + len(text)] == text)
    prefix, suffix = tuple(ids[:start]), tuple(ids[start + len(text) :])
    if not prepend_bos:
        prefix = ()
    elif not prefix and tokenizer.bos_token_id is not None:
        prefix = (cast(int, tokenizer.bos_token_id),)
    return SpecialFrame(prefix, suffix)


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[np.ndarray]:
    """Return the token ids (int32) of each text, without special tokens around it.

    The string of a special token in a text (``<|endoftext|>`` in a web page) is treated as text.
    """
    return [np.array(ids, np.int32) for ids in _encode(tokenizer, texts)["input_ids"]]


def token_spans(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return token ids (int32) and spans ((m, 2) int32, see `alignment`) of each text."""
    encoded = _encode(tokenizer, texts, return_offsets_mapping=True)
    offsets = (np.array(pairs, np.int32).reshape(-1, 2) for pairs in encoded["offset_mapping"])
    return [
        (np.array(ids, np.int32), trim_spans(text, spans))
        for text, ids, spans in zip(texts, encoded["input_ids"], offsets, strict=True)
    ]


def _encode(tokenizer: PreTrainedTokenizerFast, texts: list[str], **options: Any) -> Any:
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False, **options)


def decoded_vocabulary(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return what each token id adds to a running text, for all ids below the length of the tokenizer.

    A single id is decoded as the start of a text, where SentencePiece drops the leading space and
    WordPiece keeps its ``##``. So each id is decoded after a letter, which is then removed.
    """
    before = token_ids(tokenizer, ["a"])[0].tolist()
    texts = tokenizer.batch_decode(
        [before, *([*before, i] for i in range(len(tokenizer)))],
        skip_special_tokens=False,
        clean_up_tokenization_spaces=False,
    )
    return [text[len(texts[0]) :] for text in texts[1:]]
