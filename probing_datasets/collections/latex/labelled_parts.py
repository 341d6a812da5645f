"""Find the labelled parts of a LaTeX source, as spans of its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import zip_longest
from typing import Literal, NamedTuple

from pylatexenc.latexwalker import (
    LatexCharsNode,
    LatexEnvironmentNode,
    LatexGroupNode,
    LatexMacroNode,
    LatexMathNode,
    LatexNode,
    LatexWalker,
    LatexWalkerParseError,
    get_default_latex_context_db,
)
from pylatexenc.macrospec import EnvironmentSpec, LatexContextDb, MacroSpec

from probing_datasets.collections.latex.environments import INLINE_ENVIRONMENTS, MATH_ENVIRONMENTS
from probing_datasets.collections.latex.paragraphs import paragraphs
from probing_datasets.collections.latex.verbatim import verbatim_parts
from probing_datasets.foundation.errors import AnnotationError

Part = Literal[
    "inline_math",
    "display_math",
    "opening",
    "closing",
    "subscript",
    "superscript",
    "frac",
    "numerator",
    "denominator",
    "reference",
    "title",
    "author",
    "abstract",
    "section_title",
    "unparsed",
]
"""Kind of a span; opening and closing are the delimiters of a formula."""

SECTIONS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac")
ABSTRACT = re.compile(r"\\begin\s*\{abstract\}(.*?)\\end\s*\{abstract\}", re.DOTALL)
BEGIN = re.compile(r"\\begin\s*\{[^{}]*\}")
SCRIPT = re.compile(r"[_^]\s*")

Roles = dict[str, tuple[Part, ...]]
"""Kinds of the last arguments of each macro."""

OTHER_ROLES: Roles = {"title": ("title",), "author": ("author",)}
OTHER_ROLES |= dict.fromkeys(FRACTIONS, ("numerator", "denominator")) | dict.fromkeys(SECTIONS, ("section_title",))


class Span(NamedTuple):
    """Characters [start, stop) of a source."""

    part: Part
    start: int
    stop: int


def find_spans(source: str, reference_macros: tuple[str, ...]) -> list[Span]:
    """Find the labelled parts of a LaTeX source.

    A paragraph with a formula, a brace or an argument that is not closed is one ``unparsed`` span.

    Parameters
    ----------
    source : str
    reference_macros : tuple of str
        Macros whose argument is the key of something else, such as ``ref`` and ``cite``.

    Raises
    ------
    AnnotationError
        When no paragraph can be parsed.
    """
    spans = [Span("abstract", *match.span(1)) for match in ABSTRACT.finditer(source)]
    spans += [Span("unparsed", start, stop) for start, stop, is_block in verbatim_parts(source) if is_block]
    failures, n_parsed = [], 0
    for start, paragraph in paragraphs(source):
        try:
            spans += [Span(part, start + a, start + b) for part, a, b in _parse(paragraph, reference_macros)]
            n_parsed += 1
        except AnnotationError as error:
            failures.append(str(error))
            spans.append(Span("unparsed", start, start + len(paragraph)))
    if not n_parsed:
        raise AnnotationError(f"no paragraph can be parsed: {failures[0]}")
    return spans


def _parse(paragraph: str, reference_macros: tuple[str, ...]) -> list[Span]:
    walker = LatexWalker(paragraph, latex_context=_known_macros(reference_macros), tolerant_parsing=False)
    roles = OTHER_ROLES | dict.fromkeys(reference_macros, ("reference",))
    try:
        nodes, _, _ = walker.get_latex_nodes()
        return list(_of_nodes(nodes, roles, in_formula=False))
    except LatexWalkerParseError as error:
        raise AnnotationError(str(error.msg)) from error
    except RecursionError as error:
        raise AnnotationError("braces are nested too deeply") from error


@cache
def _known_macros(reference_macros: tuple[str, ...]) -> LatexContextDb:
    arguments = dict.fromkeys(FRACTIONS, "{{") | dict.fromkeys(SECTIONS, "*[{")
    arguments |= dict.fromkeys(reference_macros, "*[[[{") | {"title": "[{", "author": "[{"}
    formulas = [name + star for name in sorted(MATH_ENVIRONMENTS) for star in ("", "*")]
    # Without the category of special characters (-- and ~): the parser would try them at every character.
    context = get_default_latex_context_db().filter_context(keep_which=["macros", "environments"])
    context.add_context_category(
        "labelled parts",
        macros=[MacroSpec(name, args_parser=of_macro) for name, of_macro in arguments.items()],
        environments=[EnvironmentSpec(name, is_math_mode=True) for name in formulas],
        prepend=True,
    )
    return context


def _of_nodes(nodes: Sequence[LatexNode], roles: Roles, in_formula: bool) -> Iterator[Span]:
    r"""Yield the spans in nodes; only the outermost formula counts (all of ``$x \text{ if $y$}$`` is one)."""
    for node, following in zip_longest(nodes, nodes[1:]):
        if isinstance(node, LatexMathNode | LatexEnvironmentNode):
            if not in_formula:
                yield from _formula(node)
            yield from _of_nodes(node.nodelist, roles, in_formula=True)
        elif isinstance(node, LatexGroupNode):
            yield from _of_nodes(node.nodelist, roles, in_formula)
        elif isinstance(node, LatexMacroNode):
            yield from _of_macro(node, roles, in_formula)
        elif isinstance(node, LatexCharsNode) and node.parsing_state.in_math_mode:
            yield from _scripts(node, following)


def _formula(node: LatexMathNode | LatexEnvironmentNode) -> Iterator[Span]:
    source, start, stop = node.latex_verbatim(), node.pos, node.pos + node.len
    if isinstance(node, LatexMathNode):
        is_inline = node.displaytype == "inline"
        opening, closing = map(len, node.delimiters)
    else:
        is_inline = node.environmentname in INLINE_ENVIRONMENTS
        opening, closing = len(BEGIN.match(source)[0]), len(source) - source.rindex("\\end")  # type: ignore[index]
    yield Span("opening", start, start + opening)
    yield Span("inline_math" if is_inline else "display_math", start + opening, stop - closing)
    yield Span("closing", stop - closing, stop)


def _of_macro(node: LatexMacroNode, roles: Roles, in_formula: bool) -> Iterator[Span]:
    if node.macroname == "label" or node.nodeargd is None:
        return
    parts = roles.get(node.macroname, ())
    arguments = [argument for argument in node.nodeargd.argnlist if argument is not None]
    for part, argument in zip(parts, arguments[-len(parts) :], strict=False):
        yield Span(part, *_content(argument))
    if node.macroname in FRACTIONS:
        yield Span("frac", arguments[0].pos, arguments[1].pos + arguments[1].len)
    if parts != ("reference",):
        yield from _of_nodes(arguments, roles, in_formula)


def _scripts(node: LatexCharsNode, following: LatexNode | None) -> Iterator[Span]:
    """Yield the argument of each ``_`` and ``^``: the next character, or the group or macro that follows."""
    for mark in SCRIPT.finditer(node.chars):
        part: Part = "subscript" if mark[0][0] == "_" else "superscript"
        if mark.end() < len(node.chars):
            yield Span(part, node.pos + mark.end(), node.pos + mark.end() + 1)
        elif isinstance(following, LatexGroupNode | LatexMacroNode):
            yield Span(part, *_content(following))


def _content(node: LatexNode) -> tuple[int, int]:
    """Return the characters of an argument, without its braces."""
    if isinstance(node, LatexGroupNode):
        return node.pos + 1, node.pos + node.len - 1
    return node.pos, node.pos + len(node.latex_verbatim().rstrip())
