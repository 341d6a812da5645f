"""A user's message in the chat template of a model, followed by the beginning of an answer."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from probing_datasets.foundation.errors import SettingsError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PLAIN_TEMPLATE = "User: {message}\n\nAssistant:"
"""For tokenizers without a chat template."""

PLACEHOLDER = "{message}"

TODAY = date(2024, 7, 26)
"""The date in templates that name the current one, so that a data set does not depend on the day it is made."""

MARKER = "A Marker, 17 Letters!"
"""A message that no template contains."""


def chat_prompt(tokenizer: PreTrainedTokenizerFast, message: str, completion: str, template: str = "") -> str:
    """Return the text of a chat: a message by the user, and the beginning of an answer.

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
        before = _rendered(tokenizer, message)
    else:
        before = (template or PLAIN_TEMPLATE).replace(PLACEHOLDER, message)
    space = "" if not before or before[-1].isspace() else " "
    return before + space + completion.strip()


def spells_special_token(tokenizer: PreTrainedTokenizerFast, message: str) -> bool:
    """Return whether a message contains the string of a special token, which would end the user's turn."""
    return any(token.content in message for token in tokenizer.added_tokens_decoder.values() if token.special)


def _rendered(tokenizer: PreTrainedTokenizerFast, message: str) -> str:
    """Return a message in the tokenizer's chat template, as a text or, where that loses it, as a list of parts."""
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
            return prompt
    raise SettingsError(
        f"The chat template of this tokenizer {failure or 'changes or loses the message of the user'}. "
        "Pass the text around a message with --template."
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
