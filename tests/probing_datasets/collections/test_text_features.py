"""String properties of tokens: by hand, with three kinds of tokenizers, rare and special tokens."""

import string
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.text_features import TEXT_FEATURES, build, feature_table
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.make_config import MakeConfig
from tests.builders.sources import write_table

# A token, and all its features.
CASES = {
    " the": "contains_whitespace has_leading_space",
    "the": "no_leading_space_and_loweralpha",
    "The": "contains_capital leading_capital",
    " The": "contains_capital leading_capital contains_whitespace has_leading_space",
    "iPhone": "contains_capital",
    "USA": "contains_capital leading_capital all_capitals",
    " USA": "contains_capital leading_capital all_capitals contains_whitespace has_leading_space",
    " I": "contains_capital leading_capital contains_whitespace has_leading_space",
    "A": "contains_capital leading_capital",
    "B": "contains_capital leading_capital all_capitals",
    "B2": "contains_digit contains_capital leading_capital",
    "12": "contains_digit all_digits",
    " 12": "contains_digit all_digits contains_whitespace has_leading_space",
    "12 ": "contains_digit contains_whitespace",
    "x1": "contains_digit",
    " ": "contains_whitespace has_leading_space contains_all_whitespace is_not_alphanumeric",
    "\n\n": "contains_whitespace contains_all_whitespace is_not_alphanumeric",
    "\t": "contains_whitespace contains_all_whitespace is_not_alphanumeric",
    ".": "is_not_alphanumeric",
    " (": "contains_whitespace has_leading_space is_not_alphanumeric",
    "_": "",  # a word character in regular expressions
    "don't": "",
    "é": "no_leading_space_and_loweralpha is_not_ascii",
    "É": "leading_capital is_not_ascii",
    "ß": "no_leading_space_and_loweralpha is_not_ascii",
    "\ufffd": "is_not_alphanumeric is_not_ascii",
    " \ufffd": "contains_whitespace has_leading_space is_not_alphanumeric is_not_ascii",
    "😀": "is_not_alphanumeric is_not_ascii",
    "שלום": "is_not_ascii",
    "٣": "contains_digit all_digits is_not_ascii",
    "\u00a0": "contains_whitespace contains_all_whitespace is_not_alphanumeric is_not_ascii",
    "": "",
}


def test_there_are_eleven():
    assert len(TEXT_FEATURES) == 11


@pytest.mark.parametrize("token", CASES)
def test_features_of_a_token(token):
    assert {name for name, holds in TEXT_FEATURES.items() if holds(token)} == set(CASES[token].split())


def test_feature_table_is_one_column_per_token():
    table = feature_table(TEXT_FEATURES, list(CASES))
    assert set(table) == set(TEXT_FEATURES)
    for name, column in table.items():
        assert column.dtype == bool
        assert column.tolist() == [name in features.split() for features in CASES.values()]


# The same properties, written in another way, for the ASCII tokens of a text.
ASCII_TRUTH = {
    "contains_digit": lambda t: bool(set(t) & set(string.digits)),
    "contains_capital": lambda t: bool(set(t) & set(string.ascii_uppercase)),
    "contains_whitespace": lambda t: bool(set(t) & set(string.whitespace)),
    "has_leading_space": lambda t: t[0] == " ",
    "no_leading_space_and_loweralpha": lambda t: set(t) <= set(string.ascii_lowercase),
    "contains_all_whitespace": lambda t: set(t) <= set(string.whitespace),
    "is_not_alphanumeric": lambda t: not set(t) & set(string.ascii_letters + string.digits + "_"),
    "is_not_ascii": lambda t: False,
}

# The string that a vocabulary entry adds to a text, by the rules of its kind and without the decoder.
STRING_OF_PIECE = {
    "byte_level_bpe": lambda piece: piece.replace("Ġ", " ").replace("Ċ", "\n"),
    "unigram": lambda piece: "\n" if piece == "<0x0A>" else piece.replace("▁", " "),
    "wordpiece": lambda piece: piece[2:] if piece.startswith("##") else " " + piece,
}

TEXT = "The 12 cats (and 3 dogs) sang 'the song' IN 1999; it was\nBad."


def write_source(path: Path, text: str, n: int = 30) -> str:
    """Write a text ``n`` times, with a number at its end, three times in each group."""
    return write_table(path, [{"text": f"{text} {i}", "group": str(i // 3)} for i in range(n)])


@pytest.fixture(params=STRING_OF_PIECE)
def built(request, tokenizer_dirs, tmp_path):
    folder = str(tokenizer_dirs[request.param])
    source = write_source(tmp_path / "text.jsonl", TEXT)
    settings = MakeConfig("text_features", folder, source=source, min_positives=5, rows_per_feature=200)
    return build(settings), load_tokenizer(folder), STRING_OF_PIECE[request.param]


def test_labels_of_every_kind_of_tokenizer(built):
    dataset, tokenizer, string_of = built
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    checked = set(ASCII_TRUTH) & set(dataset.features)
    assert {"contains_digit", "contains_capital", "no_leading_space_and_loweralpha"} <= checked
    for name in checked:
        probes = dataset.feature_probes(name)
        for sequence, position, label in zip(*probes, strict=True):
            piece = tokenizer.convert_ids_to_tokens(int(tokens[sequence][position]))
            if piece.removeprefix("##") in string.punctuation and not piece.startswith("##"):
                continue  # whether WordPiece writes a space before punctuation is left to its decoder
            assert (label == 1) == ASCII_TRUTH[name](string_of(piece)), (name, piece)


def test_special_tokens_are_not_probed(built):
    dataset, tokenizer, _ = built
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    for name in dataset.features:
        sequence, position, _ = dataset.feature_probes(name)
        probed = {int(tokens[s][p]) for s, p in zip(sequence, position, strict=True)}
        assert not probed & set(tokenizer.all_special_ids)


def test_unknown_tokens_are_not_probed(tokenizer_dirs, tmp_path):
    """[UNK] is a capitalised word in brackets, but the text that it replaces is not."""
    source = write_source(tmp_path / "text.jsonl", "the שלום cat שלום sat Up Far")
    settings = MakeConfig("text_features", str(tokenizer_dirs["wordpiece"]), source=source, min_positives=5)
    dataset = build(settings)
    tokens = dataset.tokens(np.arange(dataset.description.n_sequences))
    assert any((t == 1).any() for t in tokens)
    for name in dataset.features:
        sequence, position, _ = dataset.feature_probes(name)
        assert all(tokens[s][p] != 1 for s, p in zip(sequence, position, strict=True))


@pytest.mark.parametrize("ignore_first", [0, 7])
def test_first_positions_are_ignored(tokenizer_dir, tmp_path, ignore_first):
    source = write_source(tmp_path / "text.jsonl", TEXT)
    dataset = build(
        MakeConfig("text_features", str(tokenizer_dir), source=source, min_positives=5, ignore_first=ignore_first)
    )
    d = dataset.description
    first = min(dataset.feature_probes(name).position.min() for name in dataset.features)
    last = max((d.n_suffix + p.position - dataset.lengths[p.sequence]).max() for p in all_probes(dataset))
    assert first == d.n_prefix + ignore_first
    assert last <= -1


def all_probes(dataset):
    return [dataset.feature_probes(name) for name in dataset.features]


def test_number_fraction_and_shared_rows(tiny_model_dir):
    settings = MakeConfig("text_features", str(tiny_model_dir), rows_per_feature=200, positive_fraction=0.25)
    dataset = build(settings)
    rows = {}
    for name, info in dataset.description.features.items():
        probes = dataset.feature_probes(name)
        rows[name] = set(zip(probes.sequence.tolist(), probes.position.tolist(), strict=True))
        assert len(rows[name]) <= 202
        if info.counts["1"] == 50:
            assert info.counts["-1"] == 150
    n_rows = sum(map(len, rows.values()))
    assert len(set.union(*rows.values())) < 0.75 * n_rows  # one priority for all features


def test_features_with_few_positives_are_dropped(tokenizer_dirs, tmp_path):
    source = write_source(tmp_path / "text.jsonl", "only small words here")
    settings = MakeConfig("text_features", str(tokenizer_dirs["byte_level_bpe"]), source=source)
    dataset = build(settings)
    assert "is_not_ascii" not in dataset.features
    assert (
        "is_not_ascii was dropped: 0 positives and 679 negatives (--min_positives 20)." in dataset.description.dropped
    )


def test_no_feature_is_left(tokenizer_dirs, tmp_path):
    source = write_source(tmp_path / "text.jsonl", "only small words here", n=1)
    settings = MakeConfig("text_features", str(tokenizer_dirs["byte_level_bpe"]), source=source)
    with pytest.raises(DatasetError, match="No feature is left. contains_digit was dropped: .* Use more text."):
        build(settings)


def test_a_feature_that_always_holds_is_dropped(tokenizer_dirs, tmp_path):
    source = write_table(tmp_path / "text.jsonl", [{"text": "é" * 30, "group": str(i)} for i in range(30)])
    settings = MakeConfig("text_features", str(tokenizer_dirs["byte_level_bpe"]), source=source)
    with pytest.raises(DatasetError, match=r"is_not_ascii was dropped: 900 positives and 0 negatives"):
        build(settings)
