"""A given token after given n-grams, to which a neuron seems to respond (``neuron_stimulus`` of Gurnee et al. 2023).

The probed token ends a short context. It is positive when one of the given prefixes directly precedes it and
begins at a token boundary, and negative after anything else. The token is always the same; only the text before
it differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import tokens_that_read
from probing_datasets.building.context_windows import POSITIVE, assemble_contexts
from probing_datasets.building.text_sampling import read_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.text_rows import TextRow

OTHER_PREFIX = 2
"""The kind of negatives."""

Stimuli = tuple[tuple[str, tuple[str, ...]], ...]
"""A token and its prefixes, each as a string."""


@dataclass(frozen=True)
class NeuronStimulusConfig(MakeConfig):
    """Settings of `neuron_stimulus`, with the paper's sizes."""

    collection: Suppress[CollectionName] = "neuron_stimulus"
    stimuli: tuple[str, ...] = ()
    """Each `PREFIX|TOKEN`, exactly as in the text, with the leading space of the token if it has one: `Har|vard`,
    `peace| Prize`. All prefixes of one token are one feature.
    """
    context_length: int | None = 32
    texts_per_label: int = 100_000
    rows_per_feature: int = 2500
    positive_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        invalid = [s for s in self.stimuli if len(s.split("|")) != 2 or not all(part.strip() for part in s.split("|"))]
        if invalid:
            raise SettingsError(f"--stimuli must have the form PREFIX|TOKEN, like 'Har|vard', not {invalid}.")


def build(config: NeuronStimulusConfig) -> FeatureDataset:
    """Build ``<prefix>+<token>`` for each token on any text; no label column is needed.

    Raises
    ------
    SettingsError
        When no stimuli are given.
    """
    if not config.stimuli:
        raise SettingsError("neuron_stimulus needs --stimuli PREFIX|TOKEN ..., like 'Har|vard'.")
    prefixes: dict[str, list[str]] = {}
    for prefix, token in (stimulus.split("|") for stimulus in config.stimuli):
        prefixes.setdefault(token, []).append(prefix)
    stimuli = tuple((token, tuple(of_token)) for token, of_token in prefixes.items())
    names = [f"{','.join(of_token)}+{token}" for token, of_token in stimuli]
    return assemble_contexts(config, read_texts(config), partial(find_stimuli, stimuli=stimuli), names)


def find_stimuli(row: TextRow, spans: np.ndarray, stimuli: Stimuli) -> np.ndarray:
    """Return (tokens, stimuli) int8: at the tokens of a stimulus, whether one of its prefixes precedes them."""
    values = np.zeros((len(spans), len(stimuli)), np.int8)
    token_starts = set(spans[:, 0].tolist())
    for column, (string, prefixes) in enumerate(stimuli):
        n_spaces = len(string) - len(string.lstrip(" "))
        for token in tokens_that_read(row.text, spans, string):
            before = row.text[: spans[token, 0] - n_spaces]
            follows_prefix = any(
                before.endswith(prefix) and len(before) - len(prefix.lstrip()) in token_starts for prefix in prefixes
            )
            values[token, column] = POSITIVE if follows_prefix else OTHER_PREFIX
    return values
