"""No text that is printed can command a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.foundation.printable import printable


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Müller 数 \N{GRINNING FACE} [bold]", "Müller 数 \N{GRINNING FACE} [bold]"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x9b2J", r"\x9b2J"),
        ("ab\u202ecd", r"ab\u202ecd"),
        ("\ud800", r"\ud800"),
        (7, "7"),
    ],
)
def test_what_does_not_print_is_escaped(text, printed):
    assert printable(text) == printed


@given(text=st.text())
def test_everything_that_is_left_prints(text):
    assert all(character == " " or character.isprintable() or character.isspace() for character in printable(text))
    assert not set(printable(text)) & set(map(chr, [*range(32), *range(127, 160)]))
