"""The bundled texts: languages, groups and lengths."""

from collections import Counter

import pytest

from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.make import COLLECTIONS
from tests.builders.sources import read_rows

LANGUAGES = {
    "natural_lang_id": {"Dutch", "English", "French", "German", "Greek", "Italian", "Portuguese", "Spanish", "Swedish"},
    "programming_lang_id": {"C", "C++", "CSS", "Go", "HTML", "Java", "JavaScript", "Python", "Rust"},
}


def test_texts_are_of_collections_that_exist():
    assert set(LANGUAGES) <= set(DEMO_TEXTS) <= set(COLLECTIONS)
    assert all(path.is_file() for path in DEMO_TEXTS.values())


@pytest.mark.parametrize("collection", LANGUAGES)
def test_thirty_groups_of_nine_languages(collection):
    rows = read_rows(DEMO_TEXTS[collection])
    assert len(rows) == 270
    assert all(set(row) == {"text", "label", "group"} for row in rows)
    assert {row["label"] for row in rows} == LANGUAGES[collection]
    pairs = Counter((row["group"], row["label"]) for row in rows)
    assert len(pairs) == 270
    assert set(pairs.values()) == {1}
    assert len({group for group, _ in pairs}) == 30


@pytest.mark.parametrize("collection", LANGUAGES)
def test_texts_are_distinct_and_long_enough(collection):
    texts = [row["text"] for row in read_rows(DEMO_TEXTS[collection])]
    assert len(set(texts)) == 270
    assert min(map(len, texts)) >= 100
    assert max(map(len, texts)) <= 3000
    assert all(text == text.strip() for text in texts)


def test_greek_is_greek_and_only_it():
    for row in read_rows(DEMO_TEXTS["natural_lang_id"]):
        greek = sum("α" <= character <= "ω" for character in row["text"].lower())
        assert (greek > len(row["text"]) / 2) == (row["label"] == "Greek")
