"""Tokens that begin with a prefix or end with a suffix: ``has_prefix``, ``has_suffix`` of Gurnee et al. 2023.

Only the string of the token counts, in lower case and without its leading space: ``in`` and ``inside``
begin with *in*, whatever the word is. Affixes of one meaning in several spellings are one feature.
"""

from __future__ import annotations

from collections.abc import Callable

from probing_datasets.collections.text_features import build_string_features
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import MakeConfig

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


def build_prefixes(config: MakeConfig) -> FeatureDataset:
    """Build ``starts_with_<prefix>`` on any text; no label column is needed."""
    return build_string_features(config, {f"starts_with_{'_'.join(p)}": starts_with(p) for p in PREFIXES})


def build_suffixes(config: MakeConfig) -> FeatureDataset:
    """Build ``ends_with_<suffix>`` on any text; no label column is needed."""
    return build_string_features(config, {f"ends_with_{'_'.join(s)}": ends_with(s) for s in SUFFIXES})


def starts_with(prefix: Affix) -> Callable[[str], bool]:
    """Return a condition on the string of a token."""
    return lambda token: token.removeprefix(" ").lower().startswith(prefix)


def ends_with(suffix: Affix) -> Callable[[str], bool]:
    """Return a condition on the string of a token."""
    return lambda token: token.lower().endswith(suffix)
