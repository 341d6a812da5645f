"""The construct of a LaTeX source that a token is in: a formula, a script, a fraction, a title, a reference.

A token is positive when its first character is inside the construct, without its delimiters and braces;
the positives of `start_math` and `end_math` are the delimiters of formulas. This is the collection ``latex`` of
Gurnee et al. 2023, with a parser in place of regular expressions. The group is a column: the file or the article.
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
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.collections.latex.labelled_parts import Part, find_spans
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.text_rows import TextRow

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
"""The parts of a source in which a token is positive, for each feature."""

DELIMITERS: dict[str, Part] = {"start_math": "opening", "end_math": "closing"}
"""The part whose last token is positive, for each feature."""

COLUMNS = (*FEATURES, *DELIMITERS)

MIRRORS = (
    ("is_inline_math", "is_display_math"),
    ("is_subscript", "is_superscript"),
    ("is_numerator", "is_denominator"),
    ("start_math", "end_math"),
)
"""Pairs that are easily confused: half of the negatives of one are positives of the other."""
MIRROR_OF = dict(MIRRORS) | {second: first for first, second in MIRRORS}

MATH_MODES = ("text", "inline", "display")


@dataclass(frozen=True)
class LatexConfig(MakeConfig):
    """The construct of a LaTeX source that a token is in."""

    collection: Suppress[CollectionName] = "latex"
    source: str = "demo"
    """A .parquet/.jsonl/.csv file or a hub data set of LaTeX sources, whole or in pieces. No source is bundled."""
    sequences_per_text: int = 10
    """Sequences cut from a text that is longer than the context, drawn at random."""
    ignore_first: int = 5
    """Text tokens at the start of a sequence that are not probed."""
    positive_fraction: float = 0.25
    """Fraction of positives among the rows of a feature; more, up to one half, if more of the text is positive."""
    reference_macros: tuple[str, ...] = (
        *("ref", "eqref", "pageref", "autoref", "nameref", "cref", "Cref", "vref"),
        *("cite", "citep", "citet", "citealt", "citealp", "citeauthor", "citeyear"),
        *("parencite", "textcite", "autocite", "footcite"),
    )
    """Macros whose last argument is the key of a figure, a theorem or a publication."""


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
        note = f"{1 - is_parsed.mean():.1%} of the tokens are in paragraphs that cannot be parsed; they are not probed."
        sequences = replace(sequences, dropped=(*sequences.dropped, note))
    candidates = candidates.select(is_parsed)
    return assemble(config, sequences, candidates, _features(candidates.take(sequences.annotations), config.seed))


def annotate_tokens(row: TextRow, spans: np.ndarray, reference_macros: tuple[str, ...]) -> np.ndarray:
    """Return the features of each token.

    Parameters
    ----------
    row : TextRow
    spans : (m, 2) int32
        Characters of each token.
    reference_macros : tuple of str

    Returns
    -------
    (m, 16) bool
        A column for each of `COLUMNS`, and whether the token is in a paragraph that could be parsed.

    Raises
    ------
    AnnotationError
        When no paragraph can be parsed.
    """
    intervals: dict[Part, list[tuple[int, int]]] = {}
    for part, start, stop in find_spans(row.text, reference_macros):
        intervals.setdefault(part, []).append((start, stop))

    def has_first_character_in(*parts: Part) -> np.ndarray:
        characters = inside(len(row.text), [interval for part in parts for interval in intervals.get(part, [])])
        return at_first_character(spans, characters)

    columns = [has_first_character_in(*parts) for parts in FEATURES.values()]
    for part in DELIMITERS.values():
        tokens = last_tokens(spans, [stop - 1 for _, stop in intervals.get(part, [])])
        is_last = np.zeros(len(spans), bool)
        is_last[tokens[tokens >= 0]] = True
        columns.append(is_last)
    is_parsed = (spans[:, 0] < spans[:, 1]) & ~has_first_character_in("unparsed")
    return np.stack([*columns, is_parsed], axis=1)


def _features(annotations: np.ndarray, seed: int) -> Iterator[tuple[str, Labels]]:
    is_positive = dict(zip(COLUMNS, annotations.T, strict=False))
    order = np.random.default_rng(seed).permutation(len(annotations))  # that of `assemble`, so that rows are shared
    for name, positive in is_positive.items():
        applies = None
        if name in MIRROR_OF:  # compare the positives with those of the mirror, and as many others
            mirror = is_positive[MIRROR_OF[name]]
            applies = positive | mirror
            others = order[~applies[order]]
            applies[others[: np.count_nonzero(mirror & ~positive)]] = True
        yield name, Labels("binary", positive, applies)
    mode = np.select([is_positive["is_inline_math"], is_positive["is_display_math"]], [1, 2], 0)
    yield "math_mode", Labels("multiclass", mode, classes=MATH_MODES)
