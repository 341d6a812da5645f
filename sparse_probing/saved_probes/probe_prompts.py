"""From a new text to the token ids that a probe scores: as those of its data set, cut to the same context."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import MAX_CHARACTERS, token_ids, token_spans
from probing_datasets.collections.emotional_state.chat_prompts import chat_tokens, spells_special_token
from probing_datasets.foundation.errors import ModelError
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import ChatPrompt, TextPart, is_text

NOT_TEXT = "it holds half of a surrogate pair, which is not a character"
NO_TOKENS = np.empty(0, np.int32)
NO_SPANS = np.empty((0, 2), np.int32)


@dataclass(frozen=True)
class Framing:
    """How texts become sequences of a model; probes that share it share a forward pass."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    longest: int
    """Most tokens between the special ones."""
    kept: TextPart
    """Which part of a longer text is scored."""
    chat: ChatPrompt | None

    @classmethod
    def of(cls, probe: ProbeData, context_length: int) -> Framing:
        """Return the framing of a probe under a model with a context length."""
        n_special = len(probe.prefix) + len(probe.suffix)
        longest = min(probe.context_length, context_length) - n_special
        return cls(probe.prefix, probe.suffix, longest, probe.kept, probe.chat)


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
    """Why it has no score, or what of it is not scored; empty for most. What is before a colon does not depend on the
    text."""
    is_pooled: NDArray[np.bool_] | None = None
    """(m,) the tokens of which a text's score is made: in a chat, those of the probed side; None for all tokens."""


def make_prompts(
    texts: Sequence[str], framing: Framing, tokenizer: PreTrainedTokenizerFast, with_spans: bool
) -> list[Prompt]:
    """Return the prompt of each text.

    A text that is longer than the context is cut as those of the data set were: at its end, or at its beginning where
    the last token is probed. A chat that is longer is not scored: without the end of the template it is not a chat.

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
    # Strings with half of a surrogate pair cannot be tokenized.
    read = [text[:MAX_CHARACTERS] if is_text(text) else "" for text in texts]
    if with_spans:
        tokens = token_spans(tokenizer, read) if read else []
    else:
        tokens = [(ids, None) for ids in token_ids(tokenizer, read)] if read else []
    prompts = []
    for text, (ids, spans) in zip(texts, tokens, strict=True):
        if not is_text(text):
            prompts.append(Prompt("", NO_TOKENS, NO_SPANS, 0, NOT_TEXT))
            continue
        note = "" if len(ids) else "the text has no tokens"
        part = slice(framing.longest)
        if len(ids) > framing.longest and framing.kept == "end":
            part = slice(len(ids) - framing.longest, None)
        if len(ids) > framing.longest or len(text) > MAX_CHARACTERS:
            which = "last" if framing.kept == "end" else "first"
            at_least = "at least " if len(text) > MAX_CHARACTERS else ""
            n_kept = min(len(ids), framing.longest)
            note = f"longer than the context: the {which} {n_kept} of {at_least}{len(ids)} tokens are scored"
        prompts.append(Prompt(text, ids[part], None if spans is None else spans[part], len(ids), note))
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
    if not is_text(message) or not message or message.isspace():
        note = NOT_TEXT if not is_text(message) else "the message is empty"
        return Prompt("", NO_TOKENS, NO_SPANS, 0, note)
    text, ids, spans, is_probed = chat_tokens(tokenizer, message, chat.completion, chat.template, chat.probed_tokens)
    note = "it spells a special token of the template" if spells_special_token(tokenizer, message) else ""
    if len(ids) > framing.longest or not is_probed.any():
        note = f"not scored, longer than the context: a prompt of {len(ids)} tokens, and room for {framing.longest}"
        if len(ids) <= framing.longest:
            note = f"not scored, the prompt has no tokens of the {chat.probed_tokens}"
        return Prompt(text, NO_TOKENS, NO_SPANS, len(ids), note)
    return Prompt(text, ids, spans, len(ids), note, is_probed)


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
