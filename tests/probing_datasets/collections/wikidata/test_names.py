import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.collections.wikidata.names import NameFinder

NAMES = ["Ada Lovelace", "Ada Lovelace King", "King Lear", "José Saramago", "O'Neal Ray", "Al Gore", "Ng Thi"]

# A text, and the names in it.
CASES = {
    "Ada Lovelace wrote it.": ["Ada Lovelace"],
    "Ada Lovelace's notes": ["Ada Lovelace"],
    "(Ada Lovelace)": ["Ada Lovelace"],
    "Ada Lovelaces": [],
    "Nada Lovelace": [],
    "ada lovelace": [],
    "Ada  Lovelace": [],
    "Ada Lovelace King": ["Ada Lovelace King"],
    "Ada Lovelace King Lear": ["Ada Lovelace King"],  # names do not overlap
    "Ada King Lear": ["King Lear"],
    "Al Gore, Al Gore and Ng Thi": ["Al Gore", "Al Gore", "Ng Thi"],
    "by José Saramago-Paz": ["José Saramago"],
    "😀O'Neal Ray": ["O'Neal Ray"],
    "": [],
}


@pytest.mark.parametrize("text", CASES)
def test_names_in_a_text(text):
    found = list(NameFinder(NAMES).find(text))
    assert [match.name for match in found] == CASES[text]
    assert all(text[match.start : match.stop] == match.name for match in found)


def test_names_that_cannot_be_found():
    assert list(NameFinder(["", "...", "Ada Lovelace"]).find("... Ada Lovelace")) == [("Ada Lovelace", 4, 16)]


words = st.sampled_from(["a", "b", "ab", "c"])


@settings(deadline=None)
@given(
    st.sets(st.lists(words, min_size=1, max_size=3).map(" ".join), min_size=1),
    st.lists(words | st.sampled_from([".", "-"]), max_size=30).map(" ".join),
)
def test_agrees_with_one_regular_expression(names, text):
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
    expected = [(match[0], match.start(), match.end()) for match in pattern.finditer(text)]
    assert list(NameFinder(names).find(text)) == expected


def test_many_names_cost_no_more_than_few():
    """A megabyte of text takes a second or so, whether there are ten names or a hundred thousand."""
    text = "the quick Given1 Family77 fox and others " * 25_000
    seconds = []
    for n in (10, 100_000):
        finder = NameFinder(f"Given{i % 300} Family{i}" for i in range(n))
        start = time.process_time()
        assert sum(1 for _ in finder.find(text)) == 0
        seconds.append(time.process_time() - start)
    assert seconds[1] < 30 * max(seconds[0], 0.1)
