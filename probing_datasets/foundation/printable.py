"""Text from files as it may be printed: labels and tokens can contain codes that a terminal obeys."""

from __future__ import annotations

import unicodedata

UNSAFE_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control and format characters (among them those that reverse text), surrogates, and separators of lines."""


def printable(text: object) -> str:
    r"""Return a text in which every character that does not print is an escape sequence of Python.

    Examples
    --------
    >>> print(printable("red \x1b[31m"))
    red \x1b[31m
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in UNSAFE_CATEGORIES
        else character
        for character in str(text)
    )


def printable_lines(text: object) -> str:
    """Return a text of several lines in which every line is printable."""
    return "\n".join(map(printable, str(text).split("\n")))
