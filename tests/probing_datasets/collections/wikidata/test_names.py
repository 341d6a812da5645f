"""Known names in running text, against a regular expression."""

import re

import pytest
from hypothesis import given
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
    matches = list(NameFinder(NAMES).find(text))
    assert [match.name for match in matches] == CASES[text]
    assert all(text[match.start : match.stop] == match.name for match in matches)


def test_names_that_cannot_be_found():
    assert list(NameFinder(["", "...", "Ada Lovelace"]).find("... Ada Lovelace")) == [("Ada Lovelace", 4, 16)]


words = st.sampled_from(["a", "b", "ab", "c"])


@given(
    st.sets(st.lists(words, min_size=1, max_size=3).map(" ".join), min_size=1),
    st.lists(words | st.sampled_from([".", "-"]), max_size=30).map(" ".join),
)
def test_agrees_with_one_regular_expression(names, text):
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
    expected = [(match[0], match.start(), match.end()) for match in pattern.finditer(text)]
    assert list(NameFinder(names).find(text)) == expected


class CountingText(str):
    """A text that counts how often a name is compared with it."""

    n_comparisons = 0

    def startswith(self, *arguments) -> bool:
        self.n_comparisons += 1
        return super().startswith(*arguments)


@pytest.mark.parametrize("n_names", [10, 100_000])
def test_only_names_that_begin_with_a_word_of_the_text_are_compared(n_names):
    names = [f"Given{i} Family{i}" for i in range(n_names)]
    text = CountingText("the quick Given1 Family77 fox and others " * 1000)
    assert list(NameFinder(names).find(text)) == []
    assert text.n_comparisons == 1000  # Given1, once for each place
