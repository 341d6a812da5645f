"""Prompts in a chat template, and messages with special tokens."""

import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.emotional_state.chat_prompts import chat_prompt, spells_special_token
from tests.builders.tokenizers import CHATML

FEELS = "This user feels"


@pytest.fixture
def tokenizer(tokenizer_dirs):
    return load_tokenizer(str(tokenizer_dirs["byte_level_bpe"]))


def test_the_tokenizers_own_template(tokenizer):
    tokenizer.chat_template = CHATML
    expected = "<|im_start|>user\nI lost it.<|im_end|>\n<|im_start|>assistant\nThis user feels"
    assert chat_prompt(tokenizer, "I lost it.", FEELS) == expected


def test_a_tokenizer_without_a_template(tokenizer):
    assert chat_prompt(tokenizer, "I lost it.", FEELS) == "User: I lost it.\n\nAssistant: This user feels"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("[INST] {message} [/INST]", "[INST] I {won}. [/INST] This user feels"),
        ("{message}\n", "I {won}.\nThis user feels"),
        ("{x} {message}", "{x} I {won}. This user feels"),
    ],
)
def test_a_given_template(tokenizer, template, expected):
    tokenizer.chat_template = CHATML  # is not used
    assert chat_prompt(tokenizer, "I {won}.", FEELS + " ", template) == expected


def test_messages_are_text_to_the_template(tokenizer):
    """Text that looks like a template is not interpreted."""
    tokenizer.chat_template = CHATML
    assert "{{ 7 * 7 }} {% endfor %}" in chat_prompt(tokenizer, "{{ 7 * 7 }} {% endfor %}", FEELS)


@pytest.mark.parametrize(("message", "spells"), [("The <|endoftext|> came", True), ("<|endoftext", False), ("", False)])
def test_special_tokens_in_a_message(tokenizer, message, spells):
    assert spells_special_token(tokenizer, message) == spells
