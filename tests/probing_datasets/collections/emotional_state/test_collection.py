"""Emotional states of chat users: labels, prompts, the probed token, messages that are dropped."""

from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.emotional_state.collection import EmotionalStateConfig, build
from probing_datasets.foundation.errors import SettingsError
from tests.builders.datasets import decoded_sequences, squeeze
from tests.builders.sources import write_table
from tests.builders.tokenizers import save_chat_tokenizer

WORDS = {"joy": "Such fun", "sadness": "I miss it", "neutral": "It is so"}
COMPLETION = "I think the emotional state of this user is"


def write(path: Path, *further: dict) -> str:
    """Write twenty messages of each state, and further rows, and return the path."""
    rows = [{"text": f"{words} {i}", "labels": [state]} for i in range(20) for state, words in WORDS.items()]
    return write_table(path, [*rows, *further])


def settings(folder: Path, source: str, **options) -> EmotionalStateConfig:
    return EmotionalStateConfig(tokenizer=str(folder), source=source, context_length=120, **options)


def test_labels_and_prompts(tokenizer_dir, tmp_path):
    dataset = build(settings(tokenizer_dir, write(tmp_path / "messages.jsonl")))
    info = dataset.description.features["emotional_state"]
    assert (info.kind, info.classes) == ("multiclass", ("joy", "neutral", "sadness"))
    probes, texts = dataset.feature_probes("emotional_state"), decoded_sequences(dataset, tokenizer_dir)
    for sequence, label in zip(probes.sequence, probes.label, strict=True):
        words = WORDS[info.classes[int(label)]].replace(" ", "")
        assert squeeze(texts[sequence]).startswith(f"User:{words}")
        assert squeeze(texts[sequence]).endswith("Assistant:" + squeeze(COMPLETION))


def test_the_last_token_is_probed(tokenizer_dir, tmp_path):
    dataset = build(settings(tokenizer_dir, write(tmp_path / "messages.jsonl")))
    probes = dataset.feature_probes("emotional_state")
    assert np.array_equal(probes.position, dataset.lengths[probes.sequence] - dataset.description.n_suffix - 1)
    assert len(probes.label) == 60


@pytest.fixture
def chat_dir(tokenizer_dirs, tmp_path):
    """A tokenizer with the template and the special tokens of a chat model."""
    return save_chat_tokenizer(tokenizer_dirs["byte_level_bpe"], tmp_path / "chat")


def test_the_template_of_a_chat_model(chat_dir, tmp_path):
    dataset = build(settings(chat_dir, write(tmp_path / "messages.jsonl")))
    tokenizer = load_tokenizer(str(chat_dir))
    start, end, bos = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    for tokens in dataset.tokens(np.arange(60)):
        assert [t for t in tokens if t in (start, end, bos)] == [bos, start, end, start]  # one bos, though both add it
        assert tokens[:2].tolist() == [bos, start]
    text = tokenizer.decode(dataset.tokens(np.array([0]))[0])
    assert text == ("<|endoftext|><|im_start|>user\nSuch fun 0<|im_end|>\n<|im_start|>assistant\n" + COMPLETION)


def test_a_chat_without_a_beginning_of_sequence_token(chat_dir, tmp_path):
    """Neither the template nor the frame adds one."""
    dataset = build(settings(chat_dir, write(tmp_path / "messages.jsonl"), prepend_bos=False))
    tokenizer = load_tokenizer(str(chat_dir))
    start, bos = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|endoftext|>"])
    assert dataset.description.n_prefix == 0
    for tokens in dataset.tokens(np.arange(60)):
        assert bos not in tokens
        assert tokens[0] == start


def test_messages_that_would_break_the_template(chat_dir, tmp_path):
    rows = [{"text": "The end<|im_end|>", "labels": ["joy"]}, {"text": "long " * 100, "labels": ["joy"]}]
    dataset = build(settings(chat_dir, write(tmp_path / "messages.jsonl", *rows)))
    assert dataset.description.n_sequences == 60
    assert dataset.description.dropped == (
        "1 messages spell a special token.",
        "1 messages are too long for the context of 120 tokens.",
    )


def test_a_given_template_and_completion(tokenizer_dir, tmp_path):
    options = {"template": "[{message}]", "completion": "They feel"}
    dataset = build(settings(tokenizer_dir, write(tmp_path / "messages.jsonl"), **options))
    texts = map(squeeze, decoded_sequences(dataset, tokenizer_dir))
    assert {text for text in texts if text.startswith("[Suchfun")} == {f"[Suchfun{i}]Theyfeel" for i in range(20)}


def test_messages_without_one_state(tokenizer_dirs, tmp_path):
    rows = [{"text": "Well", "labels": labels} for labels in (["joy", "grief"], [], ["joy", "relief"])]
    dataset = build(settings(tokenizer_dirs["wordpiece"], write(tmp_path / "messages.jsonl", *rows)))
    assert dataset.description.dropped == ("2 messages have no state, or several.",)
    assert dataset.description.n_sequences == 61


def test_the_same_message_is_one_group(tokenizer_dirs, tmp_path):
    rows = [{"text": "Such fun 0", "labels": ["joy"]}] * 5
    dataset = build(settings(tokenizer_dirs["wordpiece"], write(tmp_path / "messages.jsonl", *rows)))
    assert len(set(dataset.sequences["group"])) == 60
    assert dataset.description.n_sequences == 65


def test_a_template_without_a_place_for_the_message():
    with pytest.raises(SettingsError, match="--template must contain {message} in place of the message: 'User:'"):
        EmotionalStateConfig(template="User:")


MARKED = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template that marks what the assistant wrote."""


def probed_texts(dataset, tokenizer) -> set[str]:
    """The probed tokens of every chat, decoded together."""
    probes = dataset.feature_probes("emotional_state")
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    of_chat = [tokens[i][probes.position[probes.sequence == i]] for i in np.unique(probes.sequence)]
    return {tokenizer.decode(ids) for ids in of_chat}


@pytest.mark.parametrize("kind", ["byte_level_bpe", "wordpiece", "unigram"])
def test_the_tokens_of_one_side_are_probed(tokenizer_dirs, tmp_path, kind):
    """Without a chat template too, and with tokenizers that change the text."""
    source, tokenizer = write(tmp_path / "messages.jsonl"), load_tokenizer(str(tokenizer_dirs[kind]))

    def probed(side: str) -> set[str]:
        dataset = build(settings(tokenizer_dirs[kind], source, probed_tokens=side))
        return {squeeze(text).lower() for text in probed_texts(dataset, tokenizer)}

    messages = {squeeze(f"{words} {i}").lower() for words in WORDS.values() for i in range(20)}
    assert probed("user") == messages
    assert probed("assistant") == {squeeze(COMPLETION).lower()}
    assert probed("all") == {f"user:{message}assistant:{squeeze(COMPLETION).lower()}" for message in messages}


def test_the_tokens_of_the_assistant_are_those_that_the_template_marks(chat_dir, tmp_path):
    tokenizer = load_tokenizer(str(chat_dir))
    tokenizer.chat_template = MARKED
    tokenizer.save_pretrained(chat_dir)
    source = write(tmp_path / "messages.jsonl")
    dataset = build(settings(chat_dir, source, probed_tokens="assistant"))
    probes = dataset.feature_probes("emotional_state")
    for number, tokens in enumerate(dataset.tokens(np.arange(60))):
        message = tokenizer.decode(tokens).partition("user\n")[2].partition("<|im_end|>")[0]
        marks = tokenizer.apply_chat_template(
            [{"role": "user", "content": message}, {"role": "assistant", "content": COMPLETION}],
            return_dict=True,
            return_assistant_tokens_mask=True,
        )  # a finished answer: transformers marks no other
        assert tokens[1:].tolist() == marks["input_ids"][: len(tokens) - 1]  # the frame adds the first one
        marked = np.flatnonzero(marks["assistant_masks"]) + 1
        assert np.array_equal(probes.position[probes.sequence == number], marked)


def test_the_tokens_of_the_user_in_the_template_of_a_chat_model(chat_dir, tmp_path):
    source = write(tmp_path / "messages.jsonl")
    texts = probed_texts(build(settings(chat_dir, source, probed_tokens="user")), load_tokenizer(str(chat_dir)))
    assert texts == {f"{words} {i}" for words in WORDS.values() for i in range(20)}
    texts = probed_texts(build(settings(chat_dir, source, probed_tokens="all")), load_tokenizer(str(chat_dir)))
    assert not any("<|" in text for text in texts)
    assert all(text.startswith("user\n") and text.endswith("assistant\n" + COMPLETION) for text in texts)


def test_a_template_that_hides_the_place_of_the_message(chat_dir, tmp_path):
    tokenizer = load_tokenizer(str(chat_dir))
    tokenizer.chat_template = "{{ messages[0].content | length }}: {{ messages[0].content }}\n"
    tokenizer.save_pretrained(chat_dir)
    source = write(tmp_path / "messages.jsonl")
    with pytest.raises(SettingsError, match="the tokens of the user are not known. Pass the text around a message"):
        build(settings(chat_dir, source, probed_tokens="user"))
    assert len(build(settings(chat_dir, source)).feature_probes("emotional_state").label) == 60
