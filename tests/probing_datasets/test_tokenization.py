import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from probing_datasets.foundation.errors import ModelError
from probing_datasets.tokenization import (
    MAX_CHARACTERS,
    SpecialFrame,
    decoded_vocabulary,
    load_tokenizer,
    special_frame,
    tokenize_in_chunks,
    tokenizer_hash,
)


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
        ("unigram", False, SpecialFrame((1,), ())),  # its template puts <s> in front, whatever we ask
        ("wordpiece", True, SpecialFrame((2,), (3,))),
        ("wordpiece", False, SpecialFrame((2,), (3,))),
    ],
)
def test_special_frame(tokenizer_dirs, kind, prepend_bos, frame):
    found = special_frame(load_kind(tokenizer_dirs, kind), prepend_bos)
    assert found == frame
    assert found.size == len(frame.prefix) + len(frame.suffix)


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


def test_byte_level_tokens_are_what_they_decode_to_alone(tokenizer_dirs):
    tokenizer = load_kind(tokenizer_dirs, "byte_level_bpe")
    assert decoded_vocabulary(tokenizer) == [tokenizer.decode([i]) for i in range(len(tokenizer))]


def test_the_strings_of_tokens_concatenate_to_the_text(tokenizer):
    vocabulary = decoded_vocabulary(tokenizer)

    @settings(deadline=None, max_examples=30)
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
def test_chunks_are_the_ids_of_the_text(tokenizer, name):
    frame = special_frame(tokenizer, prepend_bos=True)
    (chunks,) = tokenize_in_chunks(tokenizer, frame, [TEXTS[name]], context_length=11)
    inner = [c[len(frame.prefix) : len(c) - len(frame.suffix)] for c in chunks]
    assert [i for c in inner for i in c] == tokenizer(TEXTS[name], add_special_tokens=False)["input_ids"]
    for chunk in chunks:
        assert chunk.dtype == np.int32
        assert tuple(chunk[: len(frame.prefix)]) == frame.prefix
        assert tuple(chunk[len(chunk) - len(frame.suffix) :]) == frame.suffix
    assert all(len(c) == 11 for c in chunks[:-1])
    assert all(frame.size < len(c) <= 11 for c in chunks[-1:])


def test_chunk_laws(tokenizer_dirs):
    tokenizer = load_kind(tokenizer_dirs, "byte_level_bpe")

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(1, 9))
    def law(texts, room):
        chunked = list(tokenize_in_chunks(tokenizer, SpecialFrame((0,), (0,)), texts, room + 2))
        assert len(chunked) == len(texts)
        for text, chunks in zip(texts, chunked, strict=True):
            assert all(c[0] == 0 and c[-1] == 0 and 3 <= len(c) <= room + 2 for c in chunks)
            assert tokenizer.decode([i for c in chunks for i in c[1:-1]]) == text

    law()


@pytest.mark.parametrize(
    ("kind", "text"),
    [("byte_level_bpe", "a <|endoftext|> b"), ("wordpiece", "a [SEP] b [CLS] c")],
)
def test_special_tokens_spelt_out_in_a_text_are_text(tokenizer_dirs, kind, text):
    tokenizer = load_kind(tokenizer_dirs, kind)
    special = set(tokenizer.all_special_ids)
    assert special & set(tokenizer(text, add_special_tokens=False)["input_ids"])  # what a plain call gives
    (chunks,) = tokenize_in_chunks(tokenizer, SpecialFrame((), ()), [text], 100)
    assert not special & set(chunks[0].tolist())


@pytest.mark.parametrize("unit", ["x", "x y "])
def test_gigantic_text_is_cut(tokenizer_dirs, unit):
    tokenizer = load_kind(tokenizer_dirs, "byte_level_bpe")  # one token per character here
    text = unit * (2 * MAX_CHARACTERS // len(unit))
    (chunks,) = tokenize_in_chunks(tokenizer, SpecialFrame((0,), ()), [text], context_length=512)
    assert sum(len(c) - 1 for c in chunks) == MAX_CHARACTERS


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
    for ours, expected in zip(
        tokenize_in_chunks(bounded, frame, texts, 40), tokenize_in_chunks(plain, frame, texts, 40), strict=True
    ):
        assert [c.tolist() for c in ours] == [c.tolist() for c in expected]
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
        ModelError, match="No tokenizer could be loaded for .*damaged.*Give `demo`, a local model folder"
    ):
        load_tokenizer(str(folder))


def test_slow_tokenizer_is_refused(tmp_path):
    ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is not a fast one"):
        load_tokenizer(str(tmp_path))
