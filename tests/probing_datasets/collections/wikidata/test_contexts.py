"""Texts that end with a name: from templates and from running text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.collections.wikidata.contexts import CHARACTERS_BEFORE, TEMPLATES, in_running_text, in_templates
from probing_datasets.sources.text_rows import TextRow

CLASSES = {"Ada Lovelace": "female", "Alan Turing": "male"}


def test_sentences_end_with_the_name():
    rows = list(in_templates(CLASSES, ("We know {name} well.", "{name}"), per_name=2, seed=0))
    assert sorted(rows) == [
        TextRow("Ada Lovelace", "female", "Ada Lovelace", (0,)),
        TextRow("Alan Turing", "male", "Alan Turing", (0,)),
        TextRow("We know Ada Lovelace", "female", "Ada Lovelace", (8,)),
        TextRow("We know Alan Turing", "male", "Alan Turing", (8,)),
    ]


def test_templates_do_not_depend_on_the_class():
    classes = {f"Given Family{i}": "female" if i % 2 else "male" for i in range(4000)}
    rows = list(in_templates(classes, TEMPLATES, per_name=1, seed=0))
    for label in ("female", "male"):
        starts = [row.extra[0] for row in rows if row.label == label]
        for template in TEMPLATES:
            n = starts.count(template.index("{"))
            assert n == pytest.approx(2000 / len(TEMPLATES), rel=0.3)
    assert rows == list(in_templates(classes, TEMPLATES, per_name=1, seed=0))
    assert rows != list(in_templates(classes, TEMPLATES, per_name=1, seed=1))


def test_no_more_sentences_than_templates():
    assert len(list(in_templates(CLASSES, TEMPLATES, per_name=100, seed=0))) == 2 * len(TEMPLATES)


def test_names_in_running_text():
    text = TextRow("In 1843 Ada Lovelace wrote notes; a century later Alan Turing answered Ada Lovelace.", group="7")
    assert [row.text for row in in_running_text(CLASSES, [text], per_name=9)] == [
        "In 1843 Ada Lovelace",
        "In 1843 Ada Lovelace wrote notes; a century later Alan Turing",
        "In 1843 Ada Lovelace wrote notes; a century later Alan Turing answered Ada Lovelace",
    ]
    assert [row.group for row in in_running_text(CLASSES, [text, text], per_name=1)] == ["Ada Lovelace", "Alan Turing"]


def test_long_texts_lose_their_beginning():
    (row,) = in_running_text(CLASSES, [TextRow("x " * 10_000 + "Ada Lovelace")], per_name=1)
    assert len(row.text) == CHARACTERS_BEFORE + len("Ada Lovelace")


@given(st.lists(st.sampled_from([*CLASSES, "and", "Alan", ",", "\n"]), max_size=30).map(" ".join), st.integers(1, 4))
def test_every_text_ends_with_its_name(text, per_name):
    rows = list(in_running_text(CLASSES, [TextRow(text)], per_name))
    for name, label in CLASSES.items():
        assert sum(row.group == name for row in rows) == min(per_name, text.count(name))
        assert all(row.text[row.extra[0] :] == name and row.label == label for row in rows if row.group == name)
