"""From a new text to the token ids that a probe scores: as those of its data set, cut to the same context."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.alignment import trim_spans
from probing_datasets.building.tokenization import MAX_CHARACTERS, special_frame, token_ids, token_spans
from probing_datasets.collections.emotional_state.chat_prompts import chat_prompt, spells_special_token
from probing_datasets.foundation.errors import ModelError
from sparse_probing.saved_probes.probe_data import ChatPrompt, ProbeData


@dataclass(frozen=True)
class Framing:
    """How texts become sequences of a model; probes that share it share a forward pass."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    longest: int
    """Most tokens between the special ones."""
    chat: ChatPrompt | None

    @classmethod
    def of(cls, probe: ProbeData, context_length: int) -> Framing:
        """Return the framing of a probe under a model with a context length."""
        n_special = len(probe.prefix) + len(probe.suffix)
        return cls(probe.prefix, probe.suffix, min(probe.context_length, context_length) - n_special, probe.chat)


@dataclass(frozen=True)
class Prompt:
    """A text as it is scored."""

    text: str
    """The text; of a chat, the message in its template."""
    ids: NDArray[np.int32]
    """(m,) ids of the tokens that are scored, without the special ones around them; empty where there are none."""
    spans: NDArray[np.int32] | None
    """(m, 2) characters of the tokens in ``text``, where they were requested."""
    n_tokens: int
    """Tokens of the whole text."""
    note: str
    """Why it has no score, or what of it is not scored; empty for most."""


def make_prompts(
    texts: Sequence[str], framing: Framing, tokenizer: PreTrainedTokenizerFast, with_spans: bool
) -> list[Prompt]:
    """Return the prompt of each text.

    A text that is longer than the context is cut at its end. A chat that is longer is not scored: without the end of
    the template it is not a chat.

    Parameters
    ----------
    texts : sequence of str
    framing : Framing
    tokenizer : PreTrainedTokenizerFast
    with_spans : bool
        Whether to find the characters of every token.

    Raises
    ------
    ModelError
        When the chat template of the tokenizer is not that of the data set.
    SettingsError
        When the chat template fails, or changes or loses a message.
    """
    if framing.chat is not None:
        check_template(framing.chat, tokenizer)
        return [_chat(text, framing, framing.chat, tokenizer) for text in texts]
    read = [text[:MAX_CHARACTERS] for text in texts]
    if with_spans:
        tokens = token_spans(tokenizer, read) if read else []
    else:
        tokens = [(ids, None) for ids in token_ids(tokenizer, read)] if read else []
    prompts = []
    for text, (ids, spans) in zip(texts, tokens, strict=True):
        note = "" if len(ids) else "the text has no tokens"
        if len(ids) > framing.longest or len(text) > MAX_CHARACTERS:
            at_least = " at least" if len(text) > MAX_CHARACTERS else ""
            note = f"cut after {min(len(ids), framing.longest)} of{at_least} {len(ids)} tokens"
        shown = None if spans is None else spans[: framing.longest]
        prompts.append(Prompt(text, ids[: framing.longest], shown, len(ids), note))
    return prompts


def check_template(chat: ChatPrompt, tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise ModelError when messages of the data set were in another chat template than the tokenizer has."""
    if chat.template:
        return
    template = tokenizer.chat_template
    template = template if isinstance(template, str) else ""
    if hashlib.sha256(template.encode()).hexdigest() != chat.template_hash and (template or chat.template_hash):
        raise ModelError(
            "The messages that the probe was trained on were in another chat template than this tokenizer has. "
            "Load the tokenizer of that model, at the revision of the probe."
        )


def _chat(message: str, framing: Framing, chat: ChatPrompt, tokenizer: PreTrainedTokenizerFast) -> Prompt:
    if not message or message.isspace():
        return Prompt("", np.empty(0, np.int32), np.empty((0, 2), np.int32), 0, "the message is empty")
    text = chat_prompt(tokenizer, message, chat.completion, chat.template)
    encoded = tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    ids = np.array(encoded["input_ids"], np.int32)
    spans = trim_spans(text, np.array(encoded["offset_mapping"], np.int32).reshape(-1, 2))
    # Special tokens at the beginning of the template are those that the frame adds, as in the data set.
    prefix = list(special_frame(tokenizer, prepend_bos=True).prefix)
    if ids[: len(prefix)].tolist() == prefix:
        ids, spans = ids[len(prefix) :], spans[len(prefix) :]
    note = "it spells a special token of the template" if spells_special_token(tokenizer, message) else ""
    if len(ids) > framing.longest:
        note = f"not scored: the prompt has {len(ids)} tokens, and the context has room for {framing.longest}"
        return Prompt(text, ids[:0], spans[:0], len(ids), note)
    return Prompt(text, ids, spans, len(ids), note)


def split_at(text: str, spans: NDArray[np.int32]) -> tuple[list[str], list[str], str]:
    """Return the tokens of a text, what is before each and belongs to none, and what is behind the last.

    Of tokens that are bytes of one character, the first has the character.

    Examples
    --------
    >>> import numpy as np
    >>> split_at("a bc!", np.array([[0, 1], [2, 4]], np.int32))
    (['a', 'bc'], ['', ' '], '!')
    """
    tokens, between, end = [], [], 0
    for start, stop in spans.tolist():
        between.append(text[end:start])
        tokens.append(text[max(start, end) : stop])
        end = max(end, stop)
    return tokens, between, text[end:]
