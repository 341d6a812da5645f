"""Find known names in running text: the longest name at each place, in one pass over the words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

WORD = re.compile(r"\w+")


class NameInText(NamedTuple):
    """A known name and its characters [start, stop) in a text."""

    name: str
    start: int
    stop: int


class NameFinder:
    """Finds names in texts; the time depends on the length of a text, hardly on the number of names.

    A name matches between word boundaries, with the same letters and spaces. If several names begin at one
    place, the longest matches. Matches do not overlap.

    Parameters
    ----------
    names : iterable of str
        A name that does not begin with a letter or a digit is ignored.

    Examples
    --------
    >>> finder = NameFinder(["Ada Lovelace", "Ada Lovelace King"])
    >>> list(finder.find("To Ada Lovelace King, from Ada Lovelace's aunt"))[1]
    NameInText(name='Ada Lovelace', start=27, stop=39)
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_first_word: dict[str, list[str]] = {}
        for name in sorted(set(names), key=lambda name: (-len(name), name)):
            if first := WORD.match(name):
                self._by_first_word.setdefault(first[0], []).append(name)

    def find(self, text: str) -> Iterator[NameInText]:
        """Yield the names in a text, from left to right."""
        end_of_last = 0
        for word in WORD.finditer(text):
            start = word.start()
            if start < end_of_last:
                continue
            for name in self._by_first_word.get(word[0], ()):  # the longest first
                end = start + len(name)
                if text.startswith(name, start) and not WORD.match(text, end):
                    yield NameInText(name, start, end)
                    end_of_last = end
                    break
