"""Prompts in a chat template, and messages with special tokens."""

import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.emotional_state.chat_prompts import chat_prompt, spells_special_token
from probing_datasets.foundation.errors import SettingsError
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


PARTS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}"
)
TEXT_OR_FAIL = (
    "{% if messages[0].content is string %}{{ raise_exception('content is a list of parts') }}{% endif %}" + PARTS
)


@pytest.mark.parametrize("template", [PARTS, TEXT_OR_FAIL])
@pytest.mark.parametrize("message", ["I lost it.", "I", "{{ x }}"])
def test_a_template_that_reads_parts_gets_them(tokenizer, template, message):
    """With plain text it renders 80 equal prompts: the characters of a text are not parts."""
    tokenizer.chat_template = template
    assert chat_prompt(tokenizer, message, FEELS) == f"<|im_start|>user\n{message}<|im_end|>\nThis user feels"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Hello.", "changes or loses the message"),
        ("{{ messages[0].content | lower }}", "changes or loses the message"),
        ("{{ messages[0].content[:10] }}", "changes or loses the message"),
        ("{{ raise_exception('No users here.') }}", "fails: TemplateError: No users here"),
        ("{% for x in %}", "fails: TemplateSyntaxError: "),
        ("{{ messages[0].content + 1 }}", "fails: TypeError: "),
        ("{{ messages[1].role }}", "fails: UndefinedError: "),
    ],
)
def test_a_template_that_loses_the_message_or_fails_is_refused(tokenizer, content, reason):
    tokenizer.chat_template = content
    with pytest.raises(SettingsError, match=f"The chat template of this tokenizer {reason}.* with --template") as error:
        chat_prompt(tokenizer, "A message of some Length.", FEELS)
    assert "\n" not in str(error.value)


def test_a_template_that_cuts_long_messages_is_refused_at_them(tokenizer):
    tokenizer.chat_template = "{{ messages[0].content[:50] }}"
    assert chat_prompt(tokenizer, "Short.", FEELS) == "Short. This user feels"
    with pytest.raises(SettingsError, match="changes or loses"):
        chat_prompt(tokenizer, "Long. " * 20, FEELS)


def test_white_space_around_a_message_may_be_removed(tokenizer):
    tokenizer.chat_template = "[{{ messages[0].content | trim }}]"
    assert chat_prompt(tokenizer, "  I lost it. ", FEELS) == "[I lost it.] This user feels"


def test_a_template_with_the_date_does_not_depend_on_the_day(tokenizer):
    tokenizer.chat_template = "Today is {{ strftime_now('%d %b %Y') }}. " + CHATML
    assert chat_prompt(tokenizer, "I lost it.", FEELS).startswith("Today is 26 Jul 2024. <|im_start|>user")
