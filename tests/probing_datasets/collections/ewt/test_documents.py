"""Documents of a treebank: joined sentences, and the characters of their words."""

import pytest

from probing_datasets.collections.ewt.documents import Document, documents, place_words, spelled
from probing_datasets.collections.ewt.treebank import Sentence, SurfaceToken, Word
from probing_datasets.foundation.errors import AnnotationError

PATTERN = r"(.+)-\d{4}"


def token(form: str, *words: str, space_after: bool = True) -> SurfaceToken:
    return SurfaceToken(form, tuple(Word(word, word.upper(), "dep", {}) for word in words or [form]), space_after)


def sentence(name: str, *forms: str, text: str = "", **options) -> Sentence:
    return Sentence(name, text, tuple(token(form) for form in forms), **options)


def spelled_by_place(text: str, words) -> list[str]:
    return [text[word.start : word.stop] for word in words]


def test_words_have_the_characters_that_spell_them():
    tokens = [token("I"), token("can't", "ca", "n't", space_after=False), token("."), token("Oh", space_after=False)]
    text = "I  can't.\u00a0Oh"
    placed = place_words(tokens, text)
    assert spelled_by_place(text, placed) == ["I", "ca", "n't", ".", "Oh"]
    assert [word.upos for word in placed] == ["I", "CA", "N'T", ".", "OH"]
    assert [word.start for word in place_words(tokens, text, offset=100)] == [word.start + 100 for word in placed]


def test_words_that_a_token_does_not_spell_have_no_place():
    text = "aller au marché"
    placed = place_words([token("aller"), token("au", "à", "le"), token("marché")], text)
    assert spelled_by_place(text, placed) == ["aller", "marché"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a x", "the text has 'x' where the token 'b' should be"),
        ("a", "the text has '' where the token 'b' should be"),
        ("a b c", "the text continues with 'c' after the last token"),
    ],
)
def test_tokens_that_do_not_spell_the_text(text, message):
    with pytest.raises(AnnotationError, match=message):
        place_words([token("a"), token("b")], text)


def test_spaces_of_a_sentence_without_text():
    tokens = (token("“", space_after=False), token("No", space_after=False), token("!"), token("he"))
    assert spelled(tokens) == "“No! he"
    (row,) = documents([Sentence("x", "", tokens)], PATTERN)
    assert row.text == "“No! he"


def test_documents_paragraphs_and_sentence_ends():
    rows = list(
        documents(
            [
                sentence("a-0001", "One", new_document="first", new_paragraph=True),
                sentence("a-0002", "Two"),
                sentence("a-0003", "Three", new_paragraph=True),
                sentence("b-0001", "Four", new_document="second"),
            ],
            PATTERN,
        )
    )
    assert [(row.text, row.group) for row in rows] == [("One Two\nThree", "first"), ("Four", "second")]
    document = Document(*rows[0].extra)
    assert document.sentence_stops == [3, 7, 13]
    assert spelled_by_place(rows[0].text, document.words) == ["One", "Two", "Three"]


def test_sentences_without_a_space_between_them():
    first = Sentence("a-0001", "Oh", (token("Oh", space_after=False),))
    (row,) = documents([first, sentence("a-0002", "!")], PATTERN)
    assert row.text == "Oh!"


def test_documents_by_the_names_of_sentences():
    names = ["mail-2004-0001", "mail-2004-0002", "mail-2005-0001", "other"]
    rows = list(documents([sentence(name, "x") for name in names], PATTERN))
    assert [(row.group, row.text) for row in rows] == [("mail-2004", "x x"), ("mail-2005", "x"), ("other", "x")]


def test_a_document_that_does_not_fit_names_the_place():
    bad = sentence("a-0002", "Two", text="Too")
    (row,) = documents([sentence("a-0001", "One"), bad, sentence("a-0003", "Three")], PATTERN)
    assert row.group == "a"
    assert Document(*row.extra).failure == "a-0002: the text has 'Too' where the token 'Two' should be"
