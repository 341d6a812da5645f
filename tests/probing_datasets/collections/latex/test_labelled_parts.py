"""Labelled parts of LaTeX sources: by hand, any text, and real documents against counting delimiters."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.collections.latex.labelled_parts import Span, find_spans
from probing_datasets.foundation.errors import AnnotationError
from tests.builders.sources import real_data

REFERENCES = ("ref", "eqref", "autoref", "cref", "Cref", "cite")

# A source, and the text of its spans by part; formulas are listed only in their own cases.
CASES = [
    ("a $x$ b", {"opening": ["$"], "inline_math": ["x"], "closing": ["$"]}),
    (r"\(x\)", {"opening": [r"\("], "inline_math": ["x"], "closing": [r"\)"]}),
    ("$$x$$ y", {"opening": ["$$"], "display_math": ["x"], "closing": ["$$"]}),
    (r"\[x\]", {"opening": [r"\["], "display_math": ["x"], "closing": [r"\]"]}),
    (
        "\\begin{align*}\n  x &= 1 \\\\ y\n\\end{align*}",
        {"opening": [r"\begin{align*}"], "display_math": ["\n  x &= 1 \\\\ y\n"], "closing": [r"\end{align*}"]},
    ),
    (r"\begin{math}x\end{math}", {"opening": [r"\begin{math}"], "inline_math": ["x"], "closing": [r"\end{math}"]}),
    (r"5\$ and 6\$ % 7$", {"opening": []}),
    (r"\verb|$x$| and $y$", {"opening": ["$"], "inline_math": ["y"], "closing": ["$"]}),
    *(
        (source.replace("CODE", "echo $A $B_1 $C^2$"), {"opening": ["$"], "inline_math": ["y"], "closing": ["$"]})
        for source in (
            r"\verb*|CODE| and $y$",
            r"\Verb[fontsize=\small]|CODE| and $y$",
            r"\lstinline|CODE| and $y$",
            r"\lstinline!CODE! and $y$",
            r"\lstinline[language=bash]|CODE| and $y$",
            r"\lstinline{CODE} and $y$",
            r"\lstinline[language=bash]{if {CODE}} and $y$",
            r"\mintinline{bash}|CODE| and $y$",
            r"\mintinline[breaklines]{bash}{CODE} and $y$",
            r"\mint{bash}|CODE| and $y$",
            r"\path|CODE| and $y$",
            r"\path{CODE} and $y$",
            r"\url{CODE} and $y$",
            r"\url|CODE| and $y$",
            r"\href{CODE}{a page} and $y$",
            r"\MakeShortVerb{\|} |CODE| and $y$",
            r"\lstMakeShortInline[columns=fixed]| |CODE| and $y$",
            r"\DefineShortVerb{\|} |CODE| \UndefineShortVerb{\|} |$y$|",
            r"\newmintinline[sh]{bash}{} \sh|CODE| and $y$",
            "% \\lstinline|CODE|\n$y$",
            "% \\begin{verbatim} $A\n$y$",
            r"\verbatiminput{x} $y$",
            r"\path (A) edge [bend left] node {$y$} (B);",
            r"\path[draw] (0,0) -- node {$y$} (1,1);",
            r"\\verb $y$ \$ \% \$",
        )
    ),
    *(
        (f"a $y$ {block} b", {"unparsed": [block], "opening": ["$"], "inline_math": ["y"], "closing": ["$"]})
        for block in (
            "\\begin{lstlisting}[language=bash]\necho $A $B_1$\n\n% $\n\\end{lstlisting}",
            "\\begin{minted}[linenos]{bash}\n$A $B\n\\end{minted}",
            "\\begin{Verbatim*}\n$A $B\n\\end{Verbatim*}",
            "\\begin{BVerbatim}$A $B\\end{BVerbatim}",
            "\\begin{comment}\n$A\n\n\\end{comment}",
            "\\begin{filecontents*}[overwrite]{a.tex}\n$A\n\\end{filecontents*}",
            "\\begin{alltt}$A \\end{alltt}",
            "\\iffalse $A \\fi",
        )
    ),
    (
        "\\lstnewenvironment{shell}{}{}\n\n\\begin{shell}$A $B\\end{shell}",
        {"unparsed": ["\\begin{shell}$A $B\\end{shell}"], "opening": []},
    ),
    ("\\newminted{bash}{}\n\n\\begin{bashcode}$A\\end{bashcode}", {"unparsed": ["\\begin{bashcode}$A\\end{bashcode}"]}),
    ("\\verb|$x\n\n$y$", {"unparsed": ["\\verb|$x"], "opening": ["$"], "inline_math": ["y"], "closing": ["$"]}),
    (r"$x \text{ if $y$}$", {"opening": ["$"], "inline_math": [r"x \text{ if $y$}"], "closing": ["$"]}),
    (
        r"$\begin{cases} x \end{cases}$",
        {"opening": ["$"], "inline_math": [r"\begin{cases} x \end{cases}"], "closing": ["$"]},
    ),
    (r"$x_1$", {"subscript": ["1"]}),
    (r"$x_{12}^\alpha$", {"subscript": ["12"], "superscript": [r"\alpha"]}),
    (r"$x _ y ^ {z}$", {"subscript": ["y"], "superscript": ["z"]}),
    (r"$x^{a_i}$", {"superscript": ["a_i"], "subscript": ["i"]}),
    (r"$x_\mathrm{max} y$", {"subscript": [r"\mathrm{max}"]}),
    (r"$\mathcal{F}_x$, $x\_y$", {"subscript": ["x"]}),
    (r"a_b \input{c_d}", {"opening": []}),
    (r"\begin{equation}\label{eq_1} x \end{equation}", {}),
    (r"$x \text{ at_most } y$", {}),
    (r"$x_$ $^$", {}),
    (r"$\frac{a}{b}$", {"frac": ["{a}{b}"], "numerator": ["a"], "denominator": ["b"]}),
    (r"$\dfrac12$", {"frac": ["12"], "numerator": ["1"], "denominator": ["2"]}),
    (
        r"$\frac{\tfrac{a}{b}}{c_d}$",
        {
            "frac": [r"{\tfrac{a}{b}}{c_d}", "{a}{b}"],
            "numerator": [r"\tfrac{a}{b}", "a"],
            "denominator": ["c_d", "b"],
            "subscript": ["d"],
        },
    ),
    (r"see \ref{sec:a_b}, \cref*{x}", {"reference": ["sec:a_b", "x"]}),
    (r"\cite[see][p.~3]{gurnee2023,x}", {"reference": ["gurnee2023,x"]}),
    (r"\label{sec:a} \nocites{b}", {}),
    (r"\title[short]{On $x$} \author{A. B. \and C.}", {"title": ["On $x$"], "author": [r"A. B. \and C."]}),
    (r"\section*{One} \subsection[t]{Two}", {"section_title": ["One", "Two"]}),
    ("\\begin{abstract}One.\n\nTwo.\\end{abstract}", {"abstract": ["One.\n\nTwo."]}),
    ("\\begin{verbatim}$x$\\end{verbatim}", {"unparsed": ["\\begin{verbatim}$x$\\end{verbatim}"]}),
    ("a $x$\n\nb $x\n\nc", {"unparsed": ["b $x"]}),
    ("a $x} b$\n\n$$y$$", {"unparsed": ["a $x} b$"], "display_math": ["y"]}),
    ("\\begin{equation}\nx\n\ny", {"unparsed": ["\\begin{equation}\nx"]}),
    (r"\newcommand{\be}{\begin{equation}}" + "\n\na", {"unparsed": [r"\newcommand{\be}{\begin{equation}}"]}),
    ("", {"opening": []}),
    ("שלום 😀 $é$", {"inline_math": ["é"]}),
]
DELIMITERS = {"opening", "closing", "inline_math", "display_math"}


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_parts_by_hand(source, expected):
    parts: dict[str, list[str]] = {part: [] for part in expected}
    for part, start, stop in find_spans(source, REFERENCES):
        if part in expected or part not in DELIMITERS:
            parts.setdefault(part, []).append(source[start:stop])
    assert parts == expected


def test_no_paragraph_can_be_parsed():
    with pytest.raises(
        AnnotationError, match="no paragraph can be parsed: Unexpected end of stream, was expecting '}'"
    ):
        find_spans("a {\n\n$b", REFERENCES)


def test_deep_nesting():
    deep = "{" * 30_000 + "}" * 30_000
    (unparsed,) = [span for span in find_spans(f"{deep}\n\na", REFERENCES) if span.part == "unparsed"]
    assert (unparsed.start, unparsed.stop) == (0, len(deep))


PIECES = ["a", "b_", "^", "$", "$$", "{", "}", "[", "]", "\\", r"\(", r"\)", r"\[", r"\]", r"\\", r"\frac", r"\ref"]
PIECES += [r"\title", r"\verb|", "%", "&", "~", "#", "\n", "\n\n", r"\text{", "é", "😀", " ", "$x_1$"]
PIECES += [r"\begin{align}", r"\end{align}", r"\begin{abstract}", r"\end{abstract}", r"\begin{", r"\begin"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_gives_spans_within_it_or_an_annotation_error(source):
    try:
        spans = find_spans(source, REFERENCES)
    except AnnotationError:
        return
    for part, start, stop in spans:
        assert 0 <= start <= stop <= len(source)
        if part == "closing":
            assert source[start:stop].startswith(("$", r"\)", r"\]", r"\end"))
    kinds = Counter(span.part for span in spans)
    assert kinds["opening"] == kinds["closing"] == kinds["inline_math"] + kinds["display_math"]


# The same result by counting delimiters and braces from left to right, without a parser.

FORMULA_NAMES = "equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|dmath|mathpar"
SYMBOL = re.compile(
    rf"""\\\\ | \\verb\*?(?P<bar>[^a-zA-Z\s]).*?(?P=bar) | \\begin\s*\{{(?:{FORMULA_NAMES})\*?\}}
    | \\end\s*\{{(?:{FORMULA_NAMES})\*?\}} | \\[()\[\]] | \\. | %[^\n]* | \$\$ | \$ | [{{}}]""",
    re.VERBOSE | re.DOTALL,
)


def formulas(paragraph: str) -> Iterator[tuple[str, int, int]]:
    """Yield the kind of each formula, and the start and stop of its content."""
    depth, opened, place = 0, None, 0
    while match := SYMBOL.search(paragraph, place):
        symbol, place = match[0], match.end()
        if symbol in "{}":
            depth += 1 if symbol == "{" else -1
        elif opened is None and (symbol in ("$", "$$", r"\(", r"\[") or symbol.startswith(r"\begin")):
            opened = (symbol, depth, place)
        elif opened is not None and depth == opened[1]:
            if opened[0] == "$" and symbol == "$$":  # the first closes, the second opens
                symbol, place = "$", match.start() + 1
            if symbol == {r"\(": r"\)", r"\[": r"\]"}.get(opened[0], opened[0].replace("begin", "end")):
                yield "inline_math" if opened[0] in ("$", r"\(") else "display_math", opened[2], match.start()
                opened = None


def braced(text: str, start: int) -> int:
    """Return the place of the brace that closes the one at ``start``."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise ValueError(text)


def braced_scripts(formula: str) -> set[tuple[str, int, int]]:
    """Return the scripts in braces of a formula."""
    marks = re.finditer(r"\\.|([_^])\s*\{", formula, re.DOTALL)
    names = {"_": "subscript", "^": "superscript"}
    return {(names[m[1]], m.end(), braced(formula, m.end() - 1)) for m in marks if m[1]}


REFERENCE = re.compile(rf"\\(?:{'|'.join(REFERENCES)})\*?\s*(?:\[[^\]]*\]\s*)*\{{([^{{}}]*)\}}")


def references_and_fractions(paragraph: str) -> Iterator[tuple[str, int, int]]:
    """Yield the keys of references, and the parts of fractions whose parts are in braces."""
    for match in REFERENCE.finditer(paragraph):
        yield "reference", *match.span(1)
    for match in re.finditer(r"\\[dt]?frac\{", paragraph):
        middle = braced(paragraph, match.end() - 1)
        yield "numerator", match.end(), middle
        opening = middle + 1 + len(paragraph[middle + 1 :]) - len(paragraph[middle + 1 :].lstrip())
        if paragraph[opening] == "{":
            yield "denominator", opening + 1, braced(paragraph, opening)


@pytest.mark.slow
def test_spans_of_real_documents_agree_with_counting():
    sources = pd.read_parquet(real_data("latex.parquet"))["text"]
    checked: Counter[str] = Counter()
    for source in sources:
        spans = find_spans(source, REFERENCES)
        for begin, end in parsed_paragraphs(source, spans):
            here = {(part, start - begin, stop - begin) for part, start, stop in spans if begin <= start < end}
            checked.update(part for part, _, _ in check_paragraph(source[begin:end], here))
    assert len(sources) == 737
    assert (
        min(checked[part] for part in ("inline_math", "display_math", "subscript", "superscript", "reference")) > 1000
    )
    assert min(checked[part] for part in ("numerator", "denominator")) > 50


def check_paragraph(paragraph: str, spans: set[tuple[str, int, int]]) -> set[tuple[str, int, int]]:
    """Check the spans of a paragraph that can be compared, and return them."""
    compared = {span for span in spans if span[0].endswith("_math")}
    assert compared == set(formulas(paragraph))
    if "%" not in paragraph:
        others = {span for span in spans if span[0] in ("reference", "numerator", "denominator")}
        assert others == set(references_and_fractions(paragraph))
        compared |= others
    for _, start, stop in {span for span in compared if span[0].endswith("_math")}:
        formula = paragraph[start:stop]
        if not re.search(r"\\(?:text|mbox|label|tag|hbox|\w*ref|cite|intertext)|%", formula):
            scripts = {s for s in spans if s[0].endswith("script") and start <= s[1] and s[2] <= stop}
            in_braces = {(part, a - start, b - start) for part, a, b in scripts if paragraph[a - 1] == "{"}
            assert in_braces == braced_scripts(formula)
            compared |= in_braces
    return compared


def parsed_paragraphs(source: str, spans: list[Span]) -> Iterator[tuple[int, int]]:
    gaps = [(0, 0), *(gap.span() for gap in re.finditer(r"\n[ \t\r]*\n\s*", source)), (len(source), len(source))]
    unparsed = [span for span in spans if span.part == "unparsed"]
    for (_, begin), (end, _) in pairwise(gaps):
        if not any(span.start < end and begin < span.stop for span in unparsed):
            yield begin, end
