"""Grammatical categories of words, as linguists annotated them in a treebank of Universal Dependencies.

A token belongs to the word that contains its characters. All tokens of a word have its part of speech,
dependency relation and morphology, and a feature compares one value with the other values of its category
(`upos_NOUN`, `dep_nsubj`, `Tense_Past`). Collection ``ewt`` of Gurnee et al. 2023 is made from the English
Web Treebank; another treebank has other values. The document is the group.

References
----------
Silveira et al., "A Gold Standard Dependency Corpus for English", LREC 2014.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import Candidates, every_position
from probing_datasets.building.sequences import LabelledSequences, cut_texts
from probing_datasets.building.text_sampling import draw_texts, read_options
from probing_datasets.collections.ewt.documents import documents
from probing_datasets.collections.ewt.labels import CATEGORIES, Inventory, annotate_tokens, category_features, inventory
from probing_datasets.collections.ewt.treebank import read_sentences
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig


@dataclass(frozen=True)
class EwtConfig(MakeConfig):
    """Grammatical categories of words in a treebank."""

    collection: Suppress[CollectionName] = "ewt"
    source: str = "demo"
    """A .conllu or .conllu.zst file, a folder of such files, or a table or hub data set with one row per sentence and
    the columns text, idx, tokens, lemmas, upos, feats and deprel. No treebank is bundled."""
    sequences_per_text: int = 100
    """Sequences cut from a document that is longer than the context, drawn at random."""
    ignore_first: int = 5
    """Text tokens at the start of a sequence that are not probed."""
    positive_fraction: float = 0.2
    """Fraction of positives among the rows of a feature; more, up to one half, if more of the text is positive."""
    document_pattern: str = r"(.+)-\d{4}"
    """Regular expression for the name of a sentence; its first group is the document. It is used for a treebank that
    does not mark documents; a sentence that does not match is a separate document."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        try:
            n_groups = re.compile(self.document_pattern).groups
        except re.error as error:
            raise SettingsError(
                f"--document_pattern {self.document_pattern!r} is not a regular expression: {error}."
            ) from error
        if not n_groups:
            raise SettingsError(f"--document_pattern {self.document_pattern!r} has no group (...) for the document.")


def build(config: EwtConfig) -> FeatureDataset:
    """Build the features of every category that occurs in a treebank.

    Raises
    ------
    SourceError
        When the treebank is missing or cannot be read.
    DatasetError
        When no feature has enough positives and negatives.
    """
    sentences = read_sentences(config.source, read_options(config))
    texts = draw_texts(config, documents(sentences, config.document_pattern))
    values = inventory(texts.rows)
    sequences = cut_texts(config, texts, partial(annotate_tokens, values=values))
    candidates = every_position(config, sequences)
    return assemble(config, sequences, candidates, _features(sequences, candidates, values))


def _features(sequences: LabelledSequences, candidates: Candidates, values: Inventory) -> Iterator[tuple[str, Labels]]:
    annotated = candidates.take(sequences.annotations)
    codes, is_word, end = annotated[:, : len(CATEGORIES)], annotated[:, -2] > 0, annotated[:, -1]
    yield from category_features(codes, is_word, values)
    yield "eos_True", Labels("binary", end == 1, end >= 0)
    first = np.array([np.argmax(of_tokens[:, -1] == 1) for of_tokens in sequences.annotations])
    yield "first_eos_True", Labels("binary", candidates.position == first[candidates.sequence], end == 1)
