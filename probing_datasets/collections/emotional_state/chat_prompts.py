"""A user's message in the chat template of a model, followed by the beginning of an answer."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from probing_datasets.building.alignment import trim_spans
from probing_datasets.building.tokenization import special_frame
from probing_datasets.foundation.errors import SettingsError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ProbedTokens = Literal["all", "user", "assistant", "last"]
"""Tokens of a chat that are probed: all, those of one side, or the last one."""

PLAIN_TEMPLATE = "User: {message}\n\nAssistant:"
"""For tokenizers without a chat template."""

PLACEHOLDER = "{message}"

TODAY = date(2024, 7, 26)
"""The date in templates that name the current one, so that a data set does not depend on the day it is made."""

MARKER = "A Marker, 17 Letters!"
"""A message that no template contains."""


class ChatText(NamedTuple):
    """The text of a chat, and which of its characters each side wrote."""

    text: str
    user: range
    """Characters of the message, without white space around it; empty where the template does not show its place."""
    assistant: range
    """Characters of the beginning of the answer."""


class ChatTokens(NamedTuple):
    """The tokens of a chat, without the special ones with which every sequence begins."""

    text: str
    ids: np.ndarray
    """(m,) int32, special tokens of the template included."""
    spans: np.ndarray
    """(m, 2) int32, the characters of each token in ``text``."""
    is_probed: np.ndarray
    """(m,) bool, the tokens of one side; all of them where no side is chosen."""


def chat_prompt(tokenizer: PreTrainedTokenizerFast, message: str, completion: str, template: str = "") -> str:
    """Return the text of :func:`chat_text`."""
    return chat_text(tokenizer, message, completion, template).text


def chat_text(tokenizer: PreTrainedTokenizerFast, message: str, completion: str, template: str = "") -> ChatText:
    """Return a chat: a message by the user, and the beginning of an answer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    message : str
    completion : str
        Beginning of the answer; its last token is the last token of the text.
    template : str
        Text around ``{message}``; empty: the tokenizer's chat template, or `PLAIN_TEMPLATE` if it has none.

    Raises
    ------
    SettingsError
        When the chat template fails, or changes or loses the message.
    """
    if not template and tokenizer.chat_template:
        marked, before = _rendered(tokenizer, message)
    else:
        marked, before = ((template or PLAIN_TEMPLATE).replace(PLACEHOLDER, content) for content in (MARKER, message))
    answer = completion.strip()
    space = "" if not answer or not before or before[-1].isspace() else " "
    start = len(before) + len(space)
    return ChatText(before + space + answer, _place(message, marked, before), range(start, start + len(answer)))


def chat_tokens(
    tokenizer: PreTrainedTokenizerFast, message: str, completion: str, template: str, probed_tokens: ProbedTokens
) -> ChatTokens:
    """Return the tokens of a chat, and which of them are probed.

    Special tokens at its beginning that begin sequences are removed: the frame of the sequence adds them, unless
    sequences have no beginning-of-sequence token.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    message, completion, template : str
        As in :func:`chat_text`.
    probed_tokens : {'all', 'user', 'assistant', 'last'}
        ``user`` and ``assistant`` mark the tokens of one side.

    Raises
    ------
    SettingsError
        When the chat template fails, loses the message, or hides its place where the tokens of one side are probed.
    """
    chat = chat_text(tokenizer, message, completion, template)
    encoded = tokenizer(chat.text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    ids = np.array(encoded["input_ids"], np.int32)
    spans = trim_spans(chat.text, np.array(encoded["offset_mapping"], np.int32).reshape(-1, 2))
    is_probed = np.ones(len(ids), bool)
    if probed_tokens in ("user", "assistant"):
        place = chat.user if probed_tokens == "user" else chat.assistant
        if not place and message.strip():
            raise SettingsError(
                f"The text around a message changes with the message, so the tokens of the {probed_tokens} are "
                "not known. Pass the text around a message with --template when the data set is made."
            )
        start, stop = spans.T
        is_probed = (start < place.stop) & (stop > place.start)
    prefix = list(special_frame(tokenizer, prepend_bos=True).prefix)
    n_framed = len(prefix) if ids[: len(prefix)].tolist() == prefix else 0
    return ChatTokens(chat.text, ids[n_framed:], spans[n_framed:], is_probed[n_framed:])


def _place(message: str, marked: str, rendered: str) -> range:
    """Return where a message is in a rendered text, by the same text with `MARKER` in its place; empty if unknown."""
    before, _, after = marked.partition(MARKER)
    content, stripped = rendered[len(before) : len(rendered) - len(after)], message.strip()
    if not (rendered.startswith(before) and rendered.endswith(after)) or content.strip() != stripped:
        return range(0)
    start = len(before) + content.index(stripped)
    return range(start, start + len(stripped))


def spells_special_token(tokenizer: PreTrainedTokenizerFast, message: str) -> bool:
    """Return whether a message contains the string of a special token, which would end the user's turn."""
    return any(token.content in message for token in tokenizer.added_tokens_decoder.values() if token.special)


def _rendered(tokenizer: PreTrainedTokenizerFast, message: str) -> tuple[str, str]:
    """Return `MARKER` and a message in the tokenizer's chat template, which gets them as it needs them.

    That is as a text or, where that loses them, as a list of parts.
    """
    failure = ""
    for as_parts in (False, True):
        try:
            marked = _render(tokenizer, MARKER, as_parts)
            prompt = _render(tokenizer, message, as_parts)
        except Exception as error:  # a template is a program: it raises what it likes
            failure = failure or f"fails: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            continue
        # Many templates remove the white space around a message; one that expects a text may print the list of parts.
        printed_list = as_parts and ("'text'" in marked or '"text"' in marked)
        if MARKER in marked and message.strip() in prompt and not printed_list:
            return marked, prompt
    raise SettingsError(
        f"The chat template of this tokenizer {failure or 'changes or loses the message of the user'}. "
        "Pass the text around a message with --template when the data set is made."
    )


def _render(tokenizer: PreTrainedTokenizerFast, message: str, as_parts: bool) -> str:
    template = tokenizer.get_chat_template()
    dates = {text: TODAY.strftime(text) for text in re.findall(r"strftime_now\(\s*[\"'](.*?)[\"']", template)}
    today = "{%- macro strftime_now(format) -%}{{ " + json.dumps(dates) + "[format] }}{%- endmacro -%}"
    content: Any = [{"type": "text", "text": message}] if as_parts else message
    return str(
        tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=today + template if dates else template,
            tokenize=False,
            add_generation_prompt=True,
        )
    )
