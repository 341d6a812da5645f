"""String properties of the probed token itself: the paper's eleven (Gurnee et al. 2023, table of features)."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, Probes, build_feature_dataset
from probing_datasets.foundation.errors import DatasetError
from probing_datasets.sampling import sample_feature
from probing_datasets.sequences import LabelledSequences, describe_sequences, make_sequences
from probing_datasets.tokenization import decoded_vocabulary

ONE_LETTER_WORDS = frozenset({"I", "A"})


def _leading_capital(token: str) -> bool:
    start = token[1:] if token.startswith(" ") else token
    return start[:1].isupper()


def _all_capitals(token: str) -> bool:
    return re.fullmatch(r"\s*[A-Z]+", token) is not None and token.removeprefix(" ") not in ONE_LETTER_WORDS


TEXT_FEATURES: dict[str, Callable[[str], bool]] = {
    "contains_digit": lambda token: re.search(r"\d", token) is not None,
    "all_digits": lambda token: re.fullmatch(r"\s?\d+", token) is not None,
    "contains_capital": lambda token: re.search("[A-Z]", token) is not None,
    "leading_capital": _leading_capital,
    "all_capitals": _all_capitals,
    "contains_whitespace": lambda token: re.search(r"\s", token) is not None,
    "has_leading_space": lambda token: token.startswith(" "),
    "no_leading_space_and_loweralpha": lambda token: token.isalpha() and token.islower(),
    "contains_all_whitespace": lambda token: token != "" and token.isspace(),
    "is_not_alphanumeric": lambda token: re.fullmatch(r"\W+", token) is not None,
    "is_not_ascii": lambda token: not token.isascii(),
}
"""What a token must satisfy, as a function of the string it decodes to alone."""


def build(config: MakeConfig) -> FeatureDataset:
    """Build the token-string features on any text; no label column is needed.

    Raises
    ------
    DatasetError
        When no feature has enough positives.
    """
    sequences = make_sequences(config, label_column="")
    table = feature_table(decoded_vocabulary(sequences.tokenizer))
    sequence, position, token = _candidates(sequences, config.ignore_first)
    priority = np.random.default_rng(config.seed).permutation(len(token))
    probes: dict[str, tuple[FeatureKind, Probes]] = {}
    notes = []
    for name, of_token in table.items():
        is_positive = of_token[token]
        n_positive, n_negative = int(is_positive.sum()), int((~is_positive).sum())
        if min(n_positive, n_negative) < config.min_positives:
            notes.append(
                f"{name} was left out: {n_positive} positives and {n_negative} negatives "
                f"(--min_positives {config.min_positives})."
            )
            continue
        chosen, label = sample_feature(is_positive, priority, config.rows_per_feature, config.positive_fraction)
        probes[name] = ("binary", Probes(sequence[chosen], position[chosen], label))
    if not probes:
        raise DatasetError(f"No feature is left. {' '.join(notes)} Use more text.")
    sequences = sequences.select(np.arange(len(sequences.tokens)), tuple(notes))
    return build_feature_dataset(describe_sequences(config, sequences), sequences.tokens, sequences.groups, probes)


def feature_table(vocabulary: list[str]) -> dict[str, np.ndarray]:
    """Return for each feature a bool array over token ids."""
    return {
        name: np.fromiter((holds(token) for token in vocabulary), dtype=bool, count=len(vocabulary))
        for name, holds in TEXT_FEATURES.items()
    }


def _candidates(sequences: LabelledSequences, ignore_first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sequence, position and token of every position that may be probed.

    The unknown token is special: its string says nothing of the text it stands for.
    """
    first = len(sequences.frame.prefix) + ignore_first
    positions = [np.arange(first, len(t) - len(sequences.frame.suffix)) for t in sequences.tokens]
    sequence = np.repeat(np.arange(len(positions)), [len(p) for p in positions])
    token = np.concatenate([t[p] for t, p in zip(sequences.tokens, positions, strict=True)])
    plain = ~np.isin(token, sequences.tokenizer.all_special_ids)
    return sequence[plain], np.concatenate(positions)[plain], token[plain]
