r"""Cut a LaTeX source into paragraphs that can be parsed one by one.

TeX ends a formula and the argument of most macros at a blank line, so a mistake, or the cut end of a file,
affects one paragraph and not the rest of the document. Only environments continue over paragraphs. Those
that are not formulas (``proof``, ``tabular``) do not matter for the labels, and their ``\begin`` and
``\end`` are replaced by spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from probing_datasets.collections.latex.environments import MATH_ENVIRONMENTS
from probing_datasets.collections.latex.verbatim import VerbatimPart, verbatim_parts

BEGIN_OR_END = re.compile(r"(?<!\\)((?:\\\\)*)(\\(?:begin|end)\s*\{([^{}\n]*)\})")
BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")


def paragraphs(source: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a source, each with the character at which it starts.

    Verbatim parts, and the beginnings and ends of environments that are not formulas, are replaced by as many
    spaces, so that every other character keeps its place.
    """

    def blank_unless_formula(match: re.Match[str]) -> str:
        is_formula = match[3].strip().removesuffix("*") in MATH_ENVIRONMENTS
        return match[0] if is_formula else match[1] + " " * len(match[2])

    parts = verbatim_parts(source)
    plain = BEGIN_OR_END.sub(blank_unless_formula, _filled(source, parts, " "))
    without_verbatim = _filled(source, parts, "x")  # blank lines in them do not count
    start = 0
    for gap in BLANK_LINES.finditer(without_verbatim):
        yield start, plain[start : gap.start()]
        start = gap.end()
    yield start, plain[start:]


def _filled(source: str, parts: list[VerbatimPart], filler: str) -> str:
    """Return the source with every character of some parts replaced."""
    pieces, end = [], 0
    for start, stop, _ in parts:
        pieces += [source[end:start], filler * (stop - start)]
        end = stop
    return "".join([*pieces, source[end:]])
