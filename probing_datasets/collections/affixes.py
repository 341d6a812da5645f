"""Tokens that begin with a prefix or end with a suffix: ``has_prefix``, ``has_suffix`` of Gurnee et al. 2023.

Only the string of the token counts, in lower case and without its leading space: ``in`` and ``inside``
begin with *in*, and the word does not matter. Several spellings of one affix are one feature.
"""

from __future__ import annotations

from collections.abc import Callable

Affix = tuple[str, ...]
"""Spellings of one affix."""

PREFIXES: tuple[Affix, ...] = (
    *((verb,) for verb in ("re", "dis", "over", "un", "mis", "out", "be", "co", "de", "fore")),
    *((verb,) for verb in ("inter", "pre", "sub", "trans", "under")),
    *((noun,) for noun in ("anti", "auto", "bi", "counter", "ex", "hyper", "in", "kilo", "mal", "mega", "mini")),
    *((noun,) for noun in ("mono", "neo", "poly", "pseudo", "semi", "super", "tele", "tri", "ultra", "vice")),
    ("il", "ir", "im", "in"),
    ("non",),
)
"""The paper's prefixes: of verbs, nouns, adjectives."""

SUFFIXES: tuple[Affix, ...] = (
    ("ise", "ize"),
    *((verb,) for verb in ("ate", "fy", "en")),
    ("tion", "sion"),
    *((noun,) for noun in ("er", "ment")),
    ("ant", "ent"),
    *((noun,) for noun in ("age", "al")),
    ("ence", "ance"),
    *((noun,) for noun in ("ry", "ism", "ship", "ity", "ness", "cy")),
    *((adjective,) for adjective in ("ent", "ive", "ous", "ful", "less", "able")),
)
"""The paper's suffixes: of verbs, nouns, adjectives."""


def starts_with(prefix: Affix) -> Callable[[str], bool]:
    """Return the condition that the string of a token begins with a prefix."""
    return lambda token: token.removeprefix(" ").lower().startswith(prefix)


def ends_with(suffix: Affix) -> Callable[[str], bool]:
    """Return the condition that the string of a token ends with a suffix."""
    return lambda token: token.lower().endswith(suffix)


PREFIX_FEATURES = {f"starts_with_{'_'.join(prefix)}": starts_with(prefix) for prefix in PREFIXES}
"""Condition of each feature of ``has_prefix``."""

SUFFIX_FEATURES = {f"ends_with_{'_'.join(suffix)}": ends_with(suffix) for suffix in SUFFIXES}
"""Condition of each feature of ``has_suffix``."""
