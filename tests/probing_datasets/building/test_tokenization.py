"""Tokenizers: special tokens, decoded strings, ids and spans of texts, identity, and damaged files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import ByT5Tokenizer

from probing_datasets.building.tokenization import (
    SpecialFrame,
    decoded_vocabulary,
    load_tokenizer,
    special_frame,
    token_ids,
    token_spans,
    tokenizer_hash,
)
from probing_datasets.collections import language_id
from probing_datasets.foundation.errors import ModelError
from probing_datasets.make_config import MakeConfig


@pytest.fixture
def tokenizer(tokenizer_dir: Path):
    return load_tokenizer(str(tokenizer_dir))


def load_kind(tokenizer_dirs: dict[str, Path], kind: str):
    return load_tokenizer(str(tokenizer_dirs[kind]))


@pytest.mark.parametrize(
    ("kind", "prepend_bos", "frame"),
    [
        ("byte_level_bpe", True, SpecialFrame((0,), ())),
        ("byte_level_bpe", False, SpecialFrame((), ())),
        ("unigram", True, SpecialFrame((1,), ())),
        ("unigram", False, SpecialFrame((), ())),  # although its template puts <s> in front
        ("wordpiece", True, SpecialFrame((2,), (3,))),
        ("wordpiece", False, SpecialFrame((), (3,))),
    ],
)
def test_special_frame(tokenizer_dirs, kind, prepend_bos, frame):
    actual = special_frame(load_kind(tokenizer_dirs, kind), prepend_bos)
    assert actual == frame
    assert actual.size == len(frame.prefix) + len(frame.suffix)


TEMPLATES = {
    "bos": "<s> $A",
    "bos_and_eos": "<s> $A </s>",
    "eos": "$A </s>",
    "two_before": "<s> <t> $A",
    "nothing": "$A",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("named", [True, False])
def test_exactly_one_beginning_or_none(tokenizer_dirs, tmp_path, template, named):
    """Whatever the tokenizer puts around a text, and whether it calls its first token bos."""
    tokenizer = load_kind(tokenizer_dirs, "unigram")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<t>"]})
    special = [(piece, tokenizer.convert_tokens_to_ids(piece)) for piece in ("<s>", "</s>", "<t>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    if not named:
        loaded.bos_token = None
    ids = dict(special)
    suffix = (ids["</s>"],) if template.endswith("</s>") else ()
    before = {"<s> <t> $A": (ids["<s>"], ids["<t>"])}.get(template, (ids["<s>"],))
    if not named and not template.startswith("<s>"):
        before = ()
    assert special_frame(loaded, True) == SpecialFrame(before, suffix)
    assert special_frame(loaded, False) == SpecialFrame((), suffix)


@pytest.mark.parametrize("kind", ["byte_level_bpe", "unigram", "wordpiece"])
@pytest.mark.parametrize("prepend_bos", [True, False])
def test_sequences_of_a_data_set_begin_as_requested(tokenizer_dirs, kind, prepend_bos):
    folder = tokenizer_dirs[kind]
    config = MakeConfig(
        collection="natural_lang_id", source="demo", tokenizer=str(folder), context_length=40, prepend_bos=prepend_bos
    )
    dataset = language_id.build(config)
    tokenizer = load_kind(tokenizer_dirs, kind)
    first = tokenizer.bos_token_id if tokenizer.cls_token_id is None else tokenizer.cls_token_id
    counts = [list(ids).count(first) for ids in dataset.tokens(np.arange(20))]
    assert counts == [int(prepend_bos)] * 20
    assert dataset.description.n_prefix == int(prepend_bos)


@pytest.mark.parametrize(
    ("kind", "piece", "string"),
    [
        ("byte_level_bpe", "Ġthe", " the"),
        ("byte_level_bpe", "he", "he"),
        ("byte_level_bpe", "Ã©", "é"),
        ("byte_level_bpe", "Ġð", " \ufffd"),  # a space and the first byte of an emoji
        ("byte_level_bpe", "ĺ", "\ufffd"),  # a byte that continues a character
        ("byte_level_bpe", "ĠĠ", "  "),
        ("unigram", "▁the", " the"),
        ("unigram", "the", "the"),
        ("unigram", "▁", " "),
        ("unigram", "<0xF0>", "\ufffd"),
        ("unigram", "<0x0A>", "\n"),
        ("wordpiece", "the", " the"),
        ("wordpiece", "##ing", "ing"),
        ("wordpiece", ".", "."),
    ],
)
def test_decoded_vocabulary(tokenizer_dirs, kind, piece, string):
    tokenizer = load_kind(tokenizer_dirs, kind)
    vocabulary = decoded_vocabulary(tokenizer)
    assert len(vocabulary) == len(tokenizer)
    assert vocabulary[tokenizer.vocab[piece]] == string


def test_byte_level_tokens_equal_their_single_decoding(tokenizer_dirs):
    tokenizer = load_kind(tokenizer_dirs, "byte_level_bpe")
    assert decoded_vocabulary(tokenizer) == [tokenizer.decode([i]) for i in range(len(tokenizer))]


def test_the_strings_of_tokens_concatenate_to_the_text(tokenizer):
    vocabulary = decoded_vocabulary(tokenizer)

    @settings(max_examples=30)
    @given(st.lists(st.sampled_from(["the", "The", "cat", "12", "I", "x", "singing", "3a"]), min_size=1))
    def law(words):
        text = " ".join(words)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert "".join(vocabulary[i] for i in ids).removeprefix(" ") == text

    law()


TEXTS = {
    "emoji": "😀👩‍👩‍👧🏽 the end",
    "right to left": "שלום עולם, مرحبا بالعالم",
    "combining": "e\u0301 n\u0303 \u200b\u202eabc",
    "empty": "",
    "spaces": "   \n\t ",
    "no spaces": "x" * 500,
    "nul": "a\x00b",
}


@pytest.mark.parametrize("name", TEXTS)
def test_token_ids_with_and_without_spans(tokenizer, name):
    (ids,) = token_ids(tokenizer, [TEXTS[name]])
    ((with_spans, spans),) = token_spans(tokenizer, [TEXTS[name]])
    assert ids.dtype == with_spans.dtype == spans.dtype == np.int32
    assert ids.tolist() == with_spans.tolist() == tokenizer(TEXTS[name], add_special_tokens=False)["input_ids"]
    assert spans.shape == (len(ids), 2)


def test_byte_level_ids_give_the_text_back(tokenizer_dirs):
    tokenizer = load_kind(tokenizer_dirs, "byte_level_bpe")

    @settings(max_examples=30)
    @given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
    def law(texts):
        assert [tokenizer.decode(ids) for ids in token_ids(tokenizer, texts)] == texts

    law()


@pytest.mark.parametrize("name", TEXTS)
def test_spans_are_inside_the_text_and_in_order(tokenizer, name):
    text = TEXTS[name]
    ((_, spans),) = token_spans(tokenizer, [text])
    assert ((spans >= 0) & (spans <= len(text))).all()
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()


def test_spans_cover_every_character_except_white_space(tokenizer):
    @settings(max_examples=30)
    @given(st.text(alphabet="ab1. (é😀ש\u0301\n", max_size=30))
    def law(text):
        ((_, spans),) = token_spans(tokenizer, [text])
        covered = {character for start, stop in spans.tolist() for character in range(start, stop)}
        dropped = "\u0301" if tokenizer.unk_token == "[UNK]" else ""  # WordPiece removes some marks
        assert {i for i, c in enumerate(text) if not c.isspace() and c not in dropped} <= covered

    law()


@pytest.mark.parametrize(
    ("kind", "strings"),
    [
        ("byte_level_bpe", ["t", "he", "c", "a", "t", "😀", "😀", "😀", "the"]),  # three tokens of one character
        ("unigram", ["the", "c", "a", "t", "😀", "😀", "😀", "😀", "the"]),
        ("wordpiece", ["the", "c", "a", "t", "😀", "the"]),
    ],
)
def test_spans_are_the_characters_of_each_token(tokenizer_dirs, kind, strings):
    text = "the cat 😀 the"
    ((ids, spans),) = token_spans(load_kind(tokenizer_dirs, kind), [text])
    covered = [text[start:stop] for start, stop in spans.tolist()]
    assert [string for string in covered if string.strip()] == strings
    assert len(covered) == len(ids)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("byte_level_bpe", "a <|endoftext|> b"), ("wordpiece", "a [SEP] b [CLS] c")],
)
def test_strings_of_special_tokens_in_a_text_are_text(tokenizer_dirs, kind, text):
    tokenizer = load_kind(tokenizer_dirs, kind)
    special = set(tokenizer.all_special_ids)
    assert special & set(tokenizer(text, add_special_tokens=False)["input_ids"])  # a plain call makes them special
    (ids,) = token_ids(tokenizer, [text])
    assert not special & set(ids.tolist())


def test_special_tokens_are_put_around():
    around = SpecialFrame((1, 2), (3,)).around(np.array([7, 8], np.int32))
    assert around.dtype == np.int32
    assert around.tolist() == [1, 2, 7, 8, 3]
    assert SpecialFrame((), ()).around(np.array([7], np.int32)).tolist() == [7]


def test_saved_truncation_and_padding_change_neither_tokens_nor_hash(tokenizer_dirs, tmp_path):
    plain = load_kind(tokenizer_dirs, "wordpiece")
    bounded = load_kind(tokenizer_dirs, "wordpiece")
    bounded.backend_tokenizer.enable_truncation(4)
    bounded.backend_tokenizer.enable_padding(length=4)
    bounded.save_pretrained(tmp_path)
    bounded = load_tokenizer(str(tmp_path))
    frame = special_frame(bounded, prepend_bos=True)
    assert frame == special_frame(plain, prepend_bos=True)
    texts = ["the singing cats", "a"]
    for ours, expected in zip(token_ids(bounded, texts), token_ids(plain, texts), strict=True):
        assert ours.tolist() == expected.tolist()
    assert tokenizer_hash(bounded) == tokenizer_hash(plain)


def test_hash_tells_tokenizers_apart(tokenizer_dirs, tmp_path):
    hashes = {tokenizer_hash(load_kind(tokenizer_dirs, kind)) for kind in tokenizer_dirs}
    assert len(hashes) == 3
    changed = load_kind(tokenizer_dirs, "wordpiece")
    changed.add_tokens(["zebra"])
    assert tokenizer_hash(changed) not in hashes


def test_unknown_tokenizer():
    with pytest.raises(ModelError, match="No tokenizer could be loaded for 'owner/no-such-model'.*HF_HOME"):
        load_tokenizer("owner/no-such-model")


@pytest.mark.parametrize("damage", ["empty folder", "cut", "not a tokenizer", "unknown model", "no vocabulary"])
def test_damaged_tokenizer(tokenizer_dirs, tmp_path, damage):
    folder = tmp_path / "damaged"
    if damage == "empty folder":
        folder.mkdir()
    else:
        shutil.copytree(tokenizer_dirs["byte_level_bpe"], folder)
        file = folder / "tokenizer.json"
        raw = json.loads(file.read_text())
        damaged = {
            "cut": file.read_text()[:900],
            "not a tokenizer": "{}",
            "unknown model": json.dumps({**raw, "model": {**raw["model"], "type": "None"}}),
            "no vocabulary": json.dumps({**raw, "model": {"type": "BPE"}}),
        }
        file.write_text(damaged[damage])
    with pytest.raises(
        ModelError, match="No tokenizer could be loaded for .*damaged.*Pass `demo`, a local model folder"
    ):
        load_tokenizer(str(folder))


def test_slow_tokenizer_is_refused(tmp_path):
    ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is not a fast one"):
        load_tokenizer(str(tmp_path))
