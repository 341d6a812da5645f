"""Where a token stands in a LaTeX source: in a formula, a script, a fraction, a title, a reference.

A token is positive when its first character stands inside the construct, without its delimiters and braces;
`start_math` and `end_math` are the delimiters of formulas themselves. Collection ``latex`` of Gurnee et al.
2023, whose regular expressions are replaced by a parser. The group is a column: the file or the article.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import at_first_character, inside, last_tokens
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import every_position
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.sources import TextRow
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.collections.latex.spans import Part, find_spans
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import CollectionName, MakeConfig

FEATURES: dict[str, tuple[Part, ...]] = {
    "is_math": ("inline_math", "display_math"),
    "is_inline_math": ("inline_math",),
    "is_display_math": ("display_math",),
    "is_subscript": ("subscript",),
    "is_superscript": ("superscript",),
    "is_frac": ("frac",),
    "is_numerator": ("numerator",),
    "is_denominator": ("denominator",),
    "is_reference": ("reference",),
    "is_title": ("title",),
    "is_section_title": ("section_title",),
    "is_author": ("author",),
    "is_abstract": ("abstract",),
}
"""The parts of a source in which a token is positive."""

DELIMITERS: dict[str, Part] = {"start_math": "opening", "end_math": "closing"}
"""The parts whose last token is positive."""

COLUMNS = (*FEATURES, *DELIMITERS)

MIRRORS = (
    ("is_inline_math", "is_display_math"),
    ("is_subscript", "is_superscript"),
    ("is_numerator", "is_denominator"),
    ("start_math", "end_math"),
)
"""Pairs that are easily taken for one another: half of the negatives of one are positives of the other."""
MIRROR_OF = dict(MIRRORS) | {second: first for first, second in MIRRORS}

MATH_MODES = ("text", "inline", "display")


@dataclass(frozen=True)
class LatexConfig(MakeConfig):
    """Where a token stands in a LaTeX source."""

    collection: Suppress[CollectionName] = "latex"
    source: str = "demo"
    """A .parquet/.jsonl/.csv file or a hub data set of LaTeX sources, whole or in pieces. None is bundled."""
    sequences_per_text: int = 10
    """Sequences cut from a text that is longer than the context, drawn at random."""
    ignore_first: int = 5
    """Text tokens at the start of a sequence that are not probed."""
    positive_fraction: float = 0.25
    """Fraction of positives among the rows of a feature; more, up to one half, where more of the text is positive."""
    reference_macros: tuple[str, ...] = (
        *("ref", "eqref", "pageref", "autoref", "nameref", "cref", "Cref", "vref"),
        *("cite", "citep", "citet", "citealt", "citealp", "citeauthor", "citeyear"),
        *("parencite", "textcite", "autocite", "footcite"),
    )
    """Macros whose last argument is the key of a figure, a theorem, a publication."""


def build(config: LatexConfig) -> FeatureDataset:
    """Build the features of LaTeX sources; no label column is needed.

    Raises
    ------
    SourceError
        When the source cannot be read, or no text of it can be parsed.
    DatasetError
        When no feature has enough positives and negatives.
    """
    annotate = partial(annotate_tokens, reference_macros=config.reference_macros)
    sequences = cut_texts(config, read_texts(config), annotate)
    candidates = every_position(config, sequences)
    is_parsed = candidates.take([annotation[:, -1] for annotation in sequences.annotations])
    if not is_parsed.all():
        note = (
            f"{1 - is_parsed.mean():.1%} of the tokens stand in paragraphs that cannot be parsed; they are not probed."
        )
        sequences = replace(sequences, dropped=(*sequences.dropped, note))
    candidates = candidates.select(is_parsed)
    return assemble(config, sequences, candidates, _features(candidates.take(sequences.annotations), config.seed))


def annotate_tokens(row: TextRow, spans: np.ndarray, reference_macros: tuple[str, ...]) -> np.ndarray:
    """Return which features hold of each token.

    Parameters
    ----------
    row : TextRow
    spans : (m, 2) int32
        Characters of each token.
    reference_macros : tuple of str

    Returns
    -------
    (m, 16) bool
        A column for each of `COLUMNS`, and whether the token stands in a paragraph that could be parsed.

    Raises
    ------
    AnnotationError
        When no paragraph can be parsed.
    """
    intervals: dict[Part, list[tuple[int, int]]] = {}
    for part, start, stop in find_spans(row.text, reference_macros):
        intervals.setdefault(part, []).append((start, stop))
    within = partial(_within, spans, len(row.text))
    columns = [within([x for part in parts for x in intervals.get(part, [])]) for parts in FEATURES.values()]
    columns += [_last_of(spans, intervals.get(part, [])) for part in DELIMITERS.values()]
    is_parsed = (spans[:, 0] < spans[:, 1]) & ~within(intervals.get("unparsed", []))
    return np.stack([*columns, is_parsed], axis=1)


def _within(spans: np.ndarray, n_characters: int, intervals: list[tuple[int, int]]) -> np.ndarray:
    return at_first_character(spans, inside(n_characters, intervals))


def _last_of(spans: np.ndarray, intervals: list[tuple[int, int]]) -> np.ndarray:
    """Return which tokens cover the last character of an interval."""
    tokens = last_tokens(spans, [stop - 1 for _, stop in intervals])
    is_last = np.zeros(len(spans), bool)
    is_last[tokens[tokens >= 0]] = True
    return is_last


def _features(annotated: np.ndarray, seed: int) -> Iterator[tuple[str, Labels]]:
    holds = dict(zip(COLUMNS, annotated.T, strict=False))
    order = np.random.default_rng(seed).permutation(len(annotated))  # that of `assemble`, so that rows are shared
    for name, positive in holds.items():
        compared = _with_mirror(positive, holds[MIRROR_OF[name]], order) if name in MIRROR_OF else None
        yield name, Labels("binary", positive, compared)
    mode = np.select([holds["is_inline_math"], holds["is_display_math"]], [1, 2], 0)
    yield "math_mode", Labels("multiclass", mode, classes=MATH_MODES)


def _with_mirror(positive: np.ndarray, mirror: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the positives, what mirrors them, and as many others: (n,) bool."""
    compared = positive | mirror
    others = order[~compared[order]]
    compared[others[: np.count_nonzero(mirror & ~positive)]] = True
    return compared
