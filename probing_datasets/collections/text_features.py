"""Properties of the string of the probed token: the paper's eleven (Gurnee et al. 2023, table of features)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import every_position
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.building.tokenization import decoded_vocabulary
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.make_config import MakeConfig

ONE_LETTER_WORDS = frozenset({"I", "A"})


TEXT_FEATURES: dict[str, Callable[[str], bool]] = {
    "contains_digit": lambda token: re.search(r"\d", token) is not None,
    "all_digits": lambda token: re.fullmatch(r"\s?\d+", token) is not None,
    "contains_capital": lambda token: re.search("[A-Z]", token) is not None,
    "leading_capital": lambda token: token.removeprefix(" ")[:1].isupper(),
    "all_capitals": lambda token: (
        re.fullmatch(r"\s*[A-Z]+", token) is not None and token.removeprefix(" ") not in ONE_LETTER_WORDS
    ),
    "contains_whitespace": lambda token: re.search(r"\s", token) is not None,
    "has_leading_space": lambda token: token.startswith(" "),
    "no_leading_space_and_loweralpha": lambda token: token.isalpha() and token.islower(),
    "contains_all_whitespace": lambda token: token != "" and token.isspace(),
    "is_not_alphanumeric": lambda token: re.fullmatch(r"\W+", token) is not None,
    "is_not_ascii": lambda token: not token.isascii(),
}
"""Condition of each feature on the string that a token decodes to."""


def build(config: MakeConfig, features: Mapping[str, Callable[[str], bool]] = TEXT_FEATURES) -> FeatureDataset:
    """Build features that depend only on the string of a token, on any text; no label column is needed.

    Parameters
    ----------
    config : MakeConfig
    features : mapping
        Name of each feature, and its condition on the string of a token.

    Raises
    ------
    DatasetError
        When no feature has enough positives.
    """
    sequences = cut_texts(config, read_texts(config))
    candidates = every_position(config, sequences)
    token = candidates.take(sequences.tokens)
    table = feature_table(features, decoded_vocabulary(sequences.tokenizer))
    labels = ((name, Labels("binary", of_token[token])) for name, of_token in table.items())
    return assemble(config, sequences, candidates, labels)


def feature_table(features: Mapping[str, Callable[[str], bool]], vocabulary: list[str]) -> dict[str, np.ndarray]:
    """Return for each feature a bool array over token ids."""
    return {
        name: np.fromiter((holds(token) for token in vocabulary), dtype=bool, count=len(vocabulary))
        for name, holds in features.items()
    }
