"""Texts that nearly repeat across groups: all pairs compared, true and false statements, no warning without need."""

import json
import logging

import numpy as np
import pytest

from probing_datasets.feature_dataset.near_duplicates import near_duplicates
from probing_datasets.make import make_dataset

WORDS = [
    "river",
    "stone",
    "light",
    "morning",
    "paper",
    "window",
    "garden",
    "letter",
    "road",
    "music",
    "winter",
    "bread",
]


def flat(sequences):
    return np.concatenate(sequences), np.array([len(s) for s in sequences])


def jaccard(a, b):
    def shingles(s):
        padded = [-1, -1, *s]
        return {tuple(padded[i : i + 3]) for i in range(len(s))}

    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def test_agrees_with_the_jaccard_index_of_all_pairs():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 500, rng.integers(8, 40)) for _ in range(120)]
    for i in range(0, 60, 2):  # the second text of a pair has some tokens replaced
        copy = texts[i].copy()
        places = rng.choice(len(copy), rng.integers(1, max(2, len(copy) // 3)), replace=False)
        copy[places] = rng.integers(500, 1000, len(places))
        texts[i + 1] = copy
    groups = np.arange(120)
    groups[1] = groups[0]  # a pair within a group is not reported
    result = near_duplicates(*flat(texts), groups)
    partner = dict(zip(result.sequences.tolist(), result.partners.tolist(), strict=True))
    assert 0 not in partner
    checked = 0
    for i in range(2, 60, 2):
        similarity = jaccard(texts[i], texts[i + 1])
        if similarity > 0.7:
            assert partner[i] == i + 1
            assert partner[i + 1] == i
            checked += 1
        elif similarity < 0.3:
            assert i not in partner
            checked += 1
    assert checked >= 10
    assert not set(partner) & set(range(60, 120))


def test_equal_short_texts_and_long_texts_over_many_pieces(monkeypatch):
    rng = np.random.default_rng(1)
    texts = [np.array([5]), np.array([5]), *[rng.integers(0, 9000, 300) for _ in range(20)]]
    texts.append(texts[7].copy())
    for tokens_at_once in (2**20, 256, 700):
        monkeypatch.setattr("probing_datasets.feature_dataset.near_duplicates.TOKENS_AT_ONCE", tokens_at_once)
        result = near_duplicates(*flat(texts), np.arange(23))
        assert result.sequences.tolist() == [0, 1, 7, 22]
        assert result.partners.tolist() == [1, 0, 22, 7]


@pytest.mark.parametrize("in_pairs", [False, True])
def test_true_and_false_statements_are_named_unless_a_pair_is_a_group(tmp_path, caplog, in_pairs):
    rng, rows = np.random.default_rng(0), []
    for number in range(12):
        body = " ".join(rng.choice(WORDS, 25))
        for label, claim in (("true", "is"), ("false", "is not")):
            text = f"{body} {claim} {number} {body[::-1]}"
            rows.append({"text": text, "label": label, "group": f"{number}" if in_pairs else f"{label} {number}"})
    source = tmp_path / "statements.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with caplog.at_level(logging.WARNING):
        make_dataset("labelled_text", source=str(source), output_dir=tmp_path, min_positives=2, group_column="group")
    message = " ".join(record.message for record in caplog.records)
    assert ("sequences of labelled_text" in message and "nearly repeat" in message) != in_pairs


def test_no_warning_for_different_texts(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        make_dataset("natural_lang_id", output_dir=tmp_path)
    assert "nearly repeat" not in caplog.text


def test_a_frame_that_all_messages_share_is_not_a_repetition(tmp_path, caplog):
    rng = np.random.default_rng(0)
    messages = [" ".join(rng.choice(WORDS, 4)) + f" {number}" for number in range(40)]
    frame = "You are a helpful assistant who reads what people write and says how they feel. {} I think that they feel"
    for name, repeated in (("different", []), ("repeated", messages[:10])):
        source = tmp_path / f"{name}.jsonl"
        texts = messages + [f"{message} and" for message in repeated]
        rows = [{"text": frame.format(text), "label": "ab"[i % 2], "group": i} for i, text in enumerate(texts)]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            make_dataset(
                "labelled_text",
                name=name,
                source=str(source),
                output_dir=tmp_path,
                min_positives=2,
                group_column="group",
            )
        assert ("nearly repeat" in caplog.text) == bool(repeated)
