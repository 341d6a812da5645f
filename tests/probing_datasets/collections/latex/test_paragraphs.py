"""Paragraphs of LaTeX sources: blank lines, environments, verbatim parts."""

import re

from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.collections.latex.paragraphs import paragraphs
from probing_datasets.collections.latex.verbatim import verbatim_parts

SOURCE = r"""\begin{proof}[Idea]
Let $x$.

\begin{align*} a \\
b \end{align*}
\end {proof}
""".rstrip()

PIECES = ["a", " ", "\n", "\n\n", "$", "{", "}", r"\begin{proof}", r"\end{proof}", r"\begin{align}", r"\\", "%", "é"]
PIECES += [r"\begin{verbatim}", r"\end{verbatim}"]


def test_environments_that_are_not_formulas_are_blank():
    first, second = paragraphs(SOURCE)
    assert first == (0, "             [Idea]\nLet $x$.")
    assert second[0] == SOURCE.index(r"\begin{align*}")
    assert second[1] == "\\begin{align*} a \\\\\nb \\end{align*}\n" + " " * len(r"\end {proof}")


def test_a_line_break_before_a_word_is_not_an_environment():
    ((_, text),) = paragraphs(r"a \\begin{proof} b \\\begin{proof} c")
    assert text == r"a \\begin{proof} b \\              c"


def test_verbatim_is_blank_with_everything_in_it():
    source = "a\n\\begin{verbatim}\n$ \\end{x}\n\n%\n\\end{verbatim} b\n\nc"
    assert [source[start:stop] for start, stop, _ in verbatim_parts(source)] == [source[2 : source.index(" b")]]
    first, last = paragraphs(source)
    assert first == (0, "a\n" + " " * (source.index(" b") - 2) + " b")
    assert last[1] == "c"


def test_verbatim_that_does_not_end():
    source = r"a \begin{lstlisting} $"
    assert verbatim_parts(source) == [(2, len(source), True)]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_characters_that_are_not_blank_keep_their_place(source):
    end = 0
    for start, text in paragraphs(source):
        assert start >= end
        assert not source[end:start].strip()
        original = source[start : start + len(text)]
        assert all(ours in (theirs, " ") for ours, theirs in zip(text, original, strict=True))
        end = start + len(text)
    assert not source[end:].strip()


@given(st.lists(st.sampled_from(PIECES[:13])).map("".join))
def test_no_blank_line_within_a_paragraph(source):
    assert not any(re.search(r"\n\s*\n", source[start : start + len(text)]) for start, text in paragraphs(source))
