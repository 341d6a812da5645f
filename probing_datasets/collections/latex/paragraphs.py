r"""A LaTeX source cut into paragraphs that can be parsed one by one.

TeX ends a formula and the argument of most macros at a blank line, so that a mistake, or the cut end of a
file, spoils one paragraph and not the rest of the document. Only environments go on over paragraphs; those
that are no formulas (``proof``, ``tabular``) say nothing of what is labelled, and their ``\begin`` and
``\end`` are blanked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DISPLAY_ENVIRONMENTS = (
    *("displaymath", "equation", "align", "alignat", "flalign", "gather", "multline", "eqnarray"),
    *("dmath", "dgroup", "IEEEeqnarray", "mathpar"),
)
INLINE_ENVIRONMENTS = ("math",)
MATH_ENVIRONMENTS = frozenset([*DISPLAY_ENVIRONMENTS, *INLINE_ENVIRONMENTS])
"""Environments that are formulas, without their starred forms."""

VERBATIM = re.compile(
    r"\\begin\s*\{(verbatim|Verbatim|lstlisting|minted|comment|alltt|filecontents)(\*?)\}.*?(?:\\end\s*\{\1\2\}|\Z)",
    re.DOTALL,
)
BEGIN_OR_END = re.compile(r"(?<!\\)((?:\\\\)*)(\\(?:begin|end)\s*\{([^{}\n]*)\})")
BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")


def verbatim_parts(source: str) -> list[tuple[int, int]]:
    """Return the characters [start, stop) that LaTeX prints as they are."""
    return [part.span() for part in VERBATIM.finditer(source)]


def paragraphs(source: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a source, each with the character at which it starts.

    Verbatim parts, and the beginnings and ends of environments that are no formulas, are spaces, so that every
    other character stands where it stood.
    """
    plain = VERBATIM.sub(_spaces, source)
    plain = BEGIN_OR_END.sub(_blanked, plain)
    start = 0
    for gap in BLANK_LINES.finditer(VERBATIM.sub(_letters, source)):
        yield start, plain[start : gap.start()]
        start = gap.end()
    yield start, plain[start:]


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _letters(match: re.Match[str]) -> str:
    return "x" * len(match[0])


def _blanked(match: re.Match[str]) -> str:
    is_formula = match[3].strip().removesuffix("*") in MATH_ENVIRONMENTS
    return match[0] if is_formula else match[1] + " " * len(match[2])
