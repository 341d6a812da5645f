"""A user's message in the chat template of a model, followed by the beginning of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PLAIN_TEMPLATE = "User: {message}\n\nAssistant:"
"""For tokenizers without a chat template."""

PLACEHOLDER = "{message}"


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
    """
    if not template and tokenizer.chat_template:
        turns = [{"role": "user", "content": message}]
        before = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    else:
        before = (template or PLAIN_TEMPLATE).replace(PLACEHOLDER, message)
    space = "" if not before or before[-1].isspace() else " "
    return before + space + completion.strip()


def spells_special_token(tokenizer: PreTrainedTokenizerFast, message: str) -> bool:
    """Return whether a message contains the string of a special token, which would end the user's turn."""
    return any(token.content in message for token in tokenizer.added_tokens_decoder.values() if token.special)
