"""All label sets of a run as one matrix of labels, and the one split that serves all of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from probing_datasets.foundation.errors import ProbeError, SplitError
from sparse_probing.config.online import PoolingName
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.places import row_aggregation
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.online.streaming.three_parts import three_parts
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.inputs.validation import Floats, Integers
from sparse_probing.probes.splits.common_split import ThreeParts
from sparse_probing.studies.base.feature_data import random_numbers
from sparse_probing.studies.base.feature_splits import labelled_features

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledRows:
    """The rows of one pooling with the labels of every set."""

    labels: Floats
    """(n, S) -1/+1, numbers of classes from 0, or real numbers; NaN where a row has no label of a set."""
    sequence: Integers
    """(n,) sequence of each row."""
    group: Integers
    """(n,) group of each row."""


@dataclass
class LabelMatrix:
    """The label sets of a run, their labels and the parts of the texts."""

    label_sets: list[LabelSet] = field(default_factory=list)
    """Those of the features, and then the same with the labels of groups exchanged, where that control is requested."""
    n_controls: int = 0
    """How many of the last sets are controls; each is of the set of the same number from the first on."""
    class_numbers: dict[str, Floats] = field(default_factory=dict)
    """(K,) the numbers of the classes of each multiclass set."""
    rows: dict[PoolingName, LabelledRows] = field(default_factory=dict)
    parts: ThreeParts = field(default_factory=lambda: ThreeParts(*[np.empty(0, np.int64)] * 3))
    """Sequences of the three parts."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why other label sets have no probe, by name."""

    @property
    def n_sets(self) -> int:
        """Label sets without the controls."""
        return len(self.label_sets) - self.n_controls


def label_matrix(prepared: PreparedOnline) -> LabelMatrix:
    """Return the labels of every row of every pooling, and the split.

    Raises
    ------
    SplitError
        When no label set can be split, or not all of them together.
    """
    config, dataset, matrix = prepared.config, prepared.dataset, LabelMatrix()
    labelled: dict[PoolingName, dict[str, FeatureRows]] = {}
    kinds: dict[str, FeatureKind] = {}
    for pooling, rows in prepared.rows.items():
        next_token = config.activations.probe_next_token_feature
        found, failures = labelled_features(dataset, prepared.label_sets, rows, row_aggregation(pooling), next_token)
        labelled[pooling] = {name: of_set for name, (_, of_set) in found.items()}
        matrix.failures |= failures
        kinds |= {name: kind for name, (kind, _) in found.items()}

    # One column of labels for each set; classes are numbered from 0.
    names = [name for name in prepared.label_sets if all(name in found for found in labelled.values())]
    for name in names:
        first = next(iter(labelled.values()))[name]
        numbers = np.unique(np.concatenate([found[name].label for found in labelled.values()]))
        if kinds[name] == "multiclass":
            matrix.class_numbers[name] = numbers
            if len(numbers) < 2:
                matrix.failures[name] = f"Its rows are of {len(numbers)} classes; at least 2 are needed."
                continue
        texts = tuple(first.classes[int(c)] if first.classes else f"{c:g}" for c in numbers)
        matrix.label_sets.append(LabelSet(name, kinds[name], texts if kinds[name] == "multiclass" else ()))
    for pooling, rows in prepared.rows.items():
        labels = np.full((len(rows), len(matrix.label_sets)), np.nan)
        for column, each in enumerate(matrix.label_sets):
            of_set = labelled[pooling][each.name]
            numbers = matrix.class_numbers.get(each.name)
            values = of_set.label if numbers is None else np.searchsorted(numbers, of_set.label)
            labels[of_set.row, column] = values
        matrix.rows[pooling] = LabelledRows(labels, rows.sequence, dataset.group_codes[rows.sequence])

    # One split, of the rows of single tokens where there are some; sets that have none are left out.
    finest = matrix.rows["none" if "none" in matrix.rows else config.pooling[0]]
    kept = [column for column in range(len(matrix.label_sets)) if _splits(prepared, matrix, finest, [column])]
    matrix.label_sets = [matrix.label_sets[column] for column in kept]
    matrix.rows = {pooling: replace(rows, labels=rows.labels[:, kept]) for pooling, rows in matrix.rows.items()}
    if not kept:
        raise SplitError("; ".join(f"{name}: {reason}" for name, reason in matrix.failures.items()))
    finest = replace(finest, labels=finest.labels[:, kept])
    split = _split(prepared, matrix.label_sets, finest, list(range(len(kept))))
    matrix.parts = ThreeParts(
        *(np.unique(finest.sequence[part]) for part in (split.train, split.validation, split.test))
    )
    if "shuffled_labels" in config.statistics.controls:
        _add_controls(prepared, matrix)
    return matrix


def _splits(prepared: PreparedOnline, matrix: LabelMatrix, rows: LabelledRows, columns: list[int]) -> bool:
    """Whether a label set alone can be split; otherwise note why not."""
    try:
        _split(prepared, matrix.label_sets, rows, columns)
    except SplitError as error:
        matrix.failures[matrix.label_sets[columns[0]].name] = str(error)
        return False
    return True


def _split(prepared: PreparedOnline, sets: list[LabelSet], rows: LabelledRows, columns: list[int]) -> ThreeParts:
    chosen = [sets[column] for column in columns]
    return three_parts(prepared.config, prepared.dataset, chosen, rows.labels[:, columns], rows.sequence)


def _add_controls(prepared: PreparedOnline, matrix: LabelMatrix) -> None:
    """Add every label set once more, with the labels of the groups of a part exchanged: what chance would find."""
    seed, sets = prepared.config.activations.seed, list(matrix.label_sets)
    exchanged = {pooling: rows.labels.copy() for pooling, rows in matrix.rows.items()}
    for pooling, rows in matrix.rows.items():
        for column, each in enumerate(sets):
            rng = random_numbers((seed, crc32(f"{each.name}/shuffled_labels".encode())), "labels")
            for part in (matrix.parts.train, matrix.parts.validation, matrix.parts.test):
                own = np.flatnonzero(np.isin(rows.sequence, part) & ~np.isnan(rows.labels[:, column]))
                try:
                    exchanged[pooling][own, column] = shuffled_labels(
                        rows.labels[own, column],
                        rows.group[own],
                        rng,
                        rows.sequence[own],
                        keep_classes=each.kind != "regression",
                    )
                except ProbeError as error:
                    exchanged[pooling][own, column] = np.nan
                    logger.warning("The control shuffled_labels of %s is left out: %s", each.name, error)
    matrix.rows = {p: replace(r, labels=np.hstack([r.labels, exchanged[p]])) for p, r in matrix.rows.items()}
    matrix.label_sets = [*sets, *(replace(each, name=f"{each.name} (shuffled)") for each in sets)]
    matrix.n_controls = len(sets)


def rows_of_part(rows: LabelledRows, part: NDArray) -> Integers:
    """Return the numbers of the rows of some sequences."""
    return np.flatnonzero(np.isin(rows.sequence, part))
