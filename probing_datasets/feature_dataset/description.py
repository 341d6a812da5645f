"""What a feature data set consists of: labelled positions, and the description of where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

FORMAT_VERSION = 1

FeatureKind = Literal["binary", "multiclass", "regression"]
Aggregation = Literal["none", "mean", "max", "last"]


class Probes(NamedTuple):
    """Labelled positions of one feature."""

    sequence: np.ndarray
    """(m,) int64, index of the sequence."""
    position: np.ndarray
    """(m,) int64, position in the sequence, special tokens counted."""
    label: np.ndarray
    """(m,) float64: -1/+1 when binary, class number when multiclass, a real number in regression."""


@dataclass(frozen=True)
class FeatureInfo:
    """What the description says of one feature."""

    kind: FeatureKind
    start: int
    """First row of the feature in the probe table."""
    stop: int
    """One past its last row."""
    counts: dict[str, int]
    """Rows of each label (empty in regression)."""
    classes: tuple[str, ...] = ()
    """Names of the classes of a multiclass feature, where they have names: class 0 first."""


@dataclass(frozen=True)
class Description:
    """Where a feature data set came from and what is in it; ``description.json`` on disk."""

    name: str
    collection: str
    tokenizer: str
    tokenizer_hash: str
    context_length: int
    n_prefix: int
    """Special tokens at the start of every sequence; they are never pooled."""
    n_suffix: int
    """Special tokens at the end of every sequence; they are never pooled."""
    seed: int
    source: dict[str, Any]
    """Where the texts came from: name, licence, digest of what was read."""
    options: dict[str, Any]
    """All settings of the builder."""
    features: dict[str, FeatureInfo] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """One sentence for each thing that was left out."""
    n_sequences: int = 0
    n_tokens: int = 0
    content_hash: str = ""
    """Checksum of tokens, groups, positions and labels, and of how this description reads them."""
    provenance: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
