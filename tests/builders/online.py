"""Data sets with label sets of every kind on the bundled texts, and settings of online probes for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, Probes, build_feature_dataset
from sparse_probing.config import OnlineConfig
from sparse_probing.online.prepare import PreparedOnline, prepare_online
from tests.builders.harvests import load_model_once

MIXED = "mixed.tiny.64.-1"
LANGUAGES = ("English", "French", "German", "Greek")
NULLS = 5
"""Every so many texts one has no label of German."""


def mixed_dataset(base: FeatureDataset, texts: np.ndarray | None = None) -> FeatureDataset:
    """Return the texts of the natural languages with label sets of three kinds, of the texts and of their tokens.

    ``German`` is binary and has no label on every fifth text; ``language`` has several classes, and no label on texts
    of other languages; ``length`` is the number of tokens. Every token of a text has its labels.
    """
    texts = np.arange(base.description.n_sequences) if texts is None else texts
    tokens, groups = base.tokens(texts), np.array(base.sequences["group"])[texts].tolist()
    speaks = {}
    for name in LANGUAGES:
        sequence, _, label = base.feature_probes(name)
        by_text = dict(zip(sequence.tolist(), label.tolist(), strict=True))
        speaks[name] = np.array([by_text[text] > 0 for text in texts.tolist()])
    german = {i: 1.0 if speaks["German"][i] else -1.0 for i in range(len(texts)) if i % NULLS}
    language = {i: float(c) for c, name in enumerate(LANGUAGES) for i in np.flatnonzero(speaks[name]).tolist()}
    length = {i: float(len(t)) for i, t in enumerate(tokens)}
    sets: dict[str, tuple[FeatureKind, Probes]] = {
        "German": ("binary", probes_of(german, tokens)),
        "language": ("multiclass", probes_of(language, tokens)),
        "length": ("regression", probes_of(length, tokens)),
    }
    description = replace(base.description, name=MIXED, collection="mixed")
    return build_feature_dataset(description, tokens, groups, sets, {"language": LANGUAGES})


def probes_of(labels: dict[int, float], tokens: list[np.ndarray]) -> Probes:
    """Return the label of a text at each of its tokens, except the special one in front; texts without a label have
    none."""
    places = [(i, position, label) for i, label in sorted(labels.items()) for position in range(1, len(tokens[i]))]
    sequence, position, label = map(np.array, zip(*places, strict=True))
    return Probes(sequence, position, label)


def online_settings(model: Path, root: Path, results: Path, **flags: Any) -> OnlineConfig:
    """Return settings of online probes of the tiny model on the mixed data set: one C, and no controls."""
    given = {
        "model": str(model),
        "feature_dataset": MIXED,
        "feature_dataset_dir": root,
        "results_dir": results,
        "regularization": 1.0,
        "controls": (),
        "n_threads": 1,
    }
    return OnlineConfig.from_flags(**given | flags)


def prepare_with(model: Path, root: Path, results: Path, **flags: Any) -> PreparedOnline:
    """Prepare a run with `online_settings` on a model that is loaded once for all tests."""
    return prepare_online(online_settings(model, root, results, **flags), model=load_model_once(str(model)))
