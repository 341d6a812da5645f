"""Known names in running text: the longest at each place, in one pass over the words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

WORD = re.compile(r"\w+")


class NameInText(NamedTuple):
    """A known name and the characters of a text that spell it."""

    name: str
    start: int
    stop: int


class NameFinder:
    """Finds names in texts; the time depends on the length of a text, hardly on the number of names.

    A name is found where it stands between word boundaries, letter by letter and with its own
    spaces. Where several begin at one place the longest counts, and names do not overlap.

    Parameters
    ----------
    names : iterable of str
        A name that does not begin with a letter or a digit cannot be found, and is passed over.

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
        free_from = 0
        for word in WORD.finditer(text):
            start = word.start()
            if start < free_from:
                continue
            name = self._name_at(text, start, word[0])
            if name is not None:
                free_from = start + len(name)
                yield NameInText(name, start, free_from)

    def _name_at(self, text: str, start: int, first_word: str) -> str | None:
        for name in self._by_first_word.get(first_word, ()):
            if text.startswith(name, start) and not WORD.match(text, start + len(name)):
                return name
        return None
