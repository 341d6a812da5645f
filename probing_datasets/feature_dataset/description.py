"""Name, contents and origin of a feature data set, as its ``description.json`` records them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from probing_datasets.model_names import model_slug

if TYPE_CHECKING:  # importing settings, which needs the literals below, stays fast
    import numpy as np

FORMAT_VERSION = 1

FeatureKind = Literal["binary", "multiclass", "regression"]
Aggregation = Literal["none", "mean", "max", "last"]


def dataset_name(stem: str, tokenizer: str, context_length: int, n_sequences: int) -> str:
    """Return the name of a data set, which is also the name of its folder.

    Parameters
    ----------
    stem : str
        Name of the collection, or a name that the user gave.
    tokenizer : str
        Name of the tokenizer's model: ``demo``, a folder, an alias or a hub id.
    context_length : int
        Tokens of a sequence at most, special ones counted.
    n_sequences : int
        The number of sequences that was requested; -1 for all.

    Examples
    --------
    >>> dataset_name("ewt", "EleutherAI/pythia-70m", 512, -1)
    'ewt.pythia-70m.512.-1'
    """
    return f"{stem}.{model_slug(tokenizer)}.{context_length}.{n_sequences}"


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
    """Kind, rows and classes of one feature."""

    kind: FeatureKind
    start: int
    """First row of the feature in the probe table."""
    stop: int
    """One past its last row."""
    counts: dict[str, int]
    """Rows of each label (empty in regression)."""
    classes: tuple[str, ...] = ()
    """Names of the classes of a multiclass feature, if they have names: class 0 first."""

    @property
    def n_rows(self) -> int:
        """Number of labelled positions."""
        return self.stop - self.start

    def label_name(self, label: str) -> str:
        """Return the name of the class behind a key of ``counts``; the key itself if classes have no names."""
        return self.classes[int(label)] if self.classes else label


@dataclass(frozen=True)
class Description:
    """Origin and contents of a feature data set; ``description.json`` on disk."""

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
    """Origin of the texts: name, licence, digest of what was read."""
    options: dict[str, Any]
    """All settings of the builder."""
    features: dict[str, FeatureInfo] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """One sentence for each kind of text, feature or class that is not in the data set."""
    n_sequences: int = 0
    n_tokens: int = 0
    content_hash: str = ""
    """Checksum of tokens, groups, positions and labels, and of how this description reads them."""
    provenance: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
