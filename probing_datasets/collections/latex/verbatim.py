r"""Find the parts of a LaTeX source that are printed without being interpreted, and those that are left out.

A dollar in them is a character, not a formula: ``\verb|$x$|``, ``\lstinline!a_b!``, ``\url{a_b}``, environments such as
``lstlisting``, those that a source defines itself, and short delimiters (``\MakeShortVerb{\|}``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

ENVIRONMENTS = frozenset(
    [
        *("verbatim", "Verbatim", "BVerbatim", "LVerbatim", "SaveVerbatim", "VerbatimOut", "verbatimtab", "spverbatim"),
        *("lstlisting", "minted", "alltt", "listing", "tcblisting", "semiverbatim", "code", "Highlighting"),
        *("comment", "filecontents", "luacode", "pycode", "pyblock", "pyverbatim", "sageblock", "sagesilent", "asy"),
    ]
)
"""Environments whose content is not interpreted, without their starred forms."""

N_ARGUMENTS_BEFORE = dict.fromkeys(("verb", "Verb", "spverb", "lstinline", "path", "url", "nolinkurl", "href"), 0)
N_ARGUMENTS_BEFORE |= dict.fromkeys(("mintinline", "mint"), 1)
"""Macros whose argument is not interpreted, and the number of arguments in braces before it."""

ONLY_DELIMITERS = ("verb", "spverb")
"""Macros whose argument is never in braces: a brace is a delimiter as any other character."""

BEGIN = re.compile(r"\s*\{([^{}\n]*)\}")
TIKZ_PATH = re.compile(r"path(?:\s|[(\[])")
"""The beginning of a path that TikZ draws; as a verbatim macro, ``\\path`` is followed by its delimiter at once."""
OPTIONS = re.compile(r"\*?(?:\s*\[[^\]]*\])?[ \t]*")
DELIMITER = re.compile(r"[^\sA-Za-z0-9*]")

NEW_ENVIRONMENT = re.compile(
    r"\\(?:lstnewenvironment|DefineVerbatimEnvironment|CustomVerbatimEnvironment|newtcblisting)\s*(?:\[[^\]]*\])?\s*"
    r"\{([^{}]+)\}"
)
NEW_MINTED = re.compile(r"\\newminted\s*(?:\[([^\]]+)\])?\s*\{([^{}]+)\}")
NEW_MINT_INLINE = re.compile(r"\\newmint(inline)?\s*(?:\[([^\]]+)\])?\s*\{([^{}]+)\}")
SHORT_VERB = re.compile(
    r"\\(MakeShortVerb|DefineShortVerb|lstMakeShortInline|DeleteShortVerb|UndefineShortVerb|lstDeleteShortInline)"
    r"\*?\s*(?:\[[^\]]*\])?\s*\{?\s*\\?([^\sA-Za-z{}\\])\}?"
)


class VerbatimPart(NamedTuple):
    """Characters [start, stop) of a source that are not interpreted."""

    start: int
    stop: int
    is_block: bool
    """Whether it is an environment or a part that is left out, rather than some characters of a line."""


def verbatim_parts(source: str) -> list[VerbatimPart]:
    """Return the parts of a source that LaTeX does not interpret, in order, without overlaps.

    An environment that is not closed reaches to the end of the source; an argument that is not closed on its
    line is not one.
    """
    environments = ENVIRONMENTS | {match[1].strip() for match in NEW_ENVIRONMENT.finditer(source)}
    environments |= {match[1] or f"{match[2]}code" for match in NEW_MINTED.finditer(source)}
    n_before = N_ARGUMENTS_BEFORE | {
        match[2] or match[3] + (match[1] or ""): 0 for match in NEW_MINT_INLINE.finditer(source)
    }
    declared = re.escape("".join(match[2] for match in SHORT_VERB.finditer(source)))
    token_pattern = re.compile(rf"\\([A-Za-z@]+)[ \t]*|\\.|%[^\n]*|[^\\%{declared}]+|.", re.DOTALL)
    parts, place, short_delimiters = [], 0, set[str]()
    while token := token_pattern.match(source, place):
        start, place, name = token.start(), token.end(), token[1]
        if short := SHORT_VERB.match(source, start):
            place = short.end()
            if short[1].startswith(("Delete", "Undefine", "lstDelete")):
                short_delimiters.discard(short[2])
            else:
                short_delimiters.add(short[2])
        elif token[0] in short_delimiters:
            stop = _end_of_delimited(source, start)
            if stop is not None:
                parts.append(VerbatimPart(start, stop, False))
                place = stop
        elif name == "begin":
            begin = BEGIN.match(source, place)
            if begin and begin[1].strip().removesuffix("*") in environments:
                end = re.compile(r"\\end\s*\{\s*" + re.escape(begin[1].strip()) + r"\s*\}").search(source, begin.end())
                place = end.end() if end else len(source)
                parts.append(VerbatimPart(start, place, True))
        elif name == "iffalse":
            end = re.compile(r"\\(?:fi|else)(?![A-Za-z@])").search(source, place)
            place = end.end() if end else len(source)
            parts.append(VerbatimPart(start, place, True))
        elif name in n_before and not TIKZ_PATH.match(source, start + 1):
            stop = _end_of_argument(source, token.end(1), n_before[name], name not in ONLY_DELIMITERS)
            if stop is not None:
                parts.append(VerbatimPart(start, stop, False))
                place = stop
    return parts


def _end_of_argument(source: str, place: int, n_before: int, may_have_braces: bool) -> int | None:
    """Return the end of the argument of a macro that ends at ``place``; None where there is none."""
    if not may_have_braces:  # what follows the macro, or its star, is the delimiter
        return _end_of_delimited(source, place + source.startswith("*", place))
    place = OPTIONS.match(source, place).end()  # type: ignore[union-attr]
    for _ in range(n_before):
        stop = _end_of_group(source, place)
        if stop is None:
            return None
        place = stop
    return _end_of_group(source, place) if source.startswith("{", place) else _end_of_delimited(source, place)


def _end_of_delimited(source: str, place: int) -> int | None:
    if not DELIMITER.match(source, place):
        return None
    line = source.find("\n", place)
    stop = source.find(source[place], place + 1, len(source) if line < 0 else line)
    return None if stop < 0 else stop + 1


def _end_of_group(source: str, place: int) -> int | None:
    """Return the end of a group in braces, which may hold further groups but no blank line."""
    depth = 0
    for match in re.compile(r"[{}]|\n[ \t]*\n").finditer(source, place):
        if match[0] not in "{}" or (depth == 0 and match.start() != place):
            return None
        depth += 1 if match[0] == "{" else -1
        if depth <= 0:
            return match.end() if depth == 0 else None
    return None
