"""The column layouts of the paper's data sets: the columns of probed positions and their labels.

The columns of a data set identify its layout. Tokens are in ``tokens``, one row per sequence; the authors'
code that reads the other columns of each layout is public (github.com/wesg52/sparse-probing-paper).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probing_datasets.feature_dataset import FeatureKind, Probes
from probing_datasets.foundation.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

Features = dict[str, tuple[FeatureKind, Probes]]

POSITION_COLUMNS = ("abs_pos", "norm_abs_pos", "rel_pos", "norm_rel_pos", "log_pos")
POSITIVE_LABELS = ("bigram", "positive")
TEXT_LENGTH = "tokens without padding"
"""Column that is added to a table: the number of tokens of each sequence, padding not counted."""


class Layout(NamedTuple):
    """The columns of a family of data sets, and the function that reads them."""

    columns: tuple[str, ...]
    """Columns that identify it."""
    read: Callable[[pa.Table], Features]


def read_features(table: pa.Table, where: str) -> Features:
    """Return the features of a published data set.

    Parameters
    ----------
    table : pyarrow.Table
        All its columns, and `TEXT_LENGTH`.
    where : str
        Name of the data set in the message.

    Raises
    ------
    DatasetError
        When its columns do not fit any layout.
    """
    names = [name for name in table.column_names if name != TEXT_LENGTH]
    if any(name.endswith("|probe_indices") for name in names):
        return read_marked(table)
    for layout in LAYOUTS:
        if set(layout.columns) <= set(names):
            return layout.read(table)
    known = "; ".join(["<feature>|probe_indices, <feature>|probe_classes", *(", ".join(x.columns) for x in LAYOUTS)])
    raise DatasetError(
        f"The columns of {where} ({', '.join(names)}) do not fit any layout of the paper. Known layouts: {known}."
    )


def read_marked(table: pa.Table) -> Features:
    """Read ``<feature>|probe_indices`` and ``<feature>|probe_classes``: text features, prefixes, EWT, LaTeX."""
    names = [name.removesuffix("|probe_indices") for name in table.column_names if name.endswith("|probe_indices")]
    features: Features = {}
    for name in names:
        sequence, position = _flat(table.column(f"{name}|probe_indices"))
        label = _flat(table.column(f"{name}|probe_classes"))[1].astype(np.float64)
        if len(label) != len(position):
            raise DatasetError(f"{name} has {len(position)} indices and {len(label)} classes.")
        if len(label):
            kind: FeatureKind = "regression"
            if np.isin(label, (-1, 1)).all():
                kind = "binary"
            elif ((label >= 0) & (label == np.round(label))).all():
                kind = "multiclass"
            features[name] = (kind, Probes(sequence, position, label))
    return features


def read_by_value(column: str) -> Callable[[pa.Table], Features]:
    """Return a reader of ``probe_indices`` and a value for each sequence: languages, distributions."""

    def read(table: pa.Table) -> Features:
        sequence, position = _flat(table.column("probe_indices"))
        of_position = np.array(table.column(column).to_pylist())[sequence]
        return {str(value): _binary(sequence, position, of_position == value) for value in np.unique(of_position)}

    return read


def read_bigrams(table: pa.Table) -> Features:
    """Read short contexts that end at the probed token, with ``feature_name`` and ``label``."""
    last = _last_positions(table)
    names, is_positive = (
        np.array(table.column("feature_name").to_pylist()),
        np.isin(table.column("label"), POSITIVE_LABELS),
    )
    return {str(name): _of_sequences(np.flatnonzero(names == name), last, is_positive) for name in np.unique(names)}


def read_counterfact(table: pa.Table) -> Features:
    """Read statements that are probed at the last token of their target."""
    last = np.array(table.column("target_end")) - 1
    return {"text_true": _of_sequences(np.arange(len(table)), last, np.array(table.column("text_true")))}


def read_wikidata(table: pa.Table) -> Features:
    """Read names in running text, probed at the last token of the surname."""
    last, value = np.array(table.column("surname_index_end")), np.array(table.column("class").to_pylist())
    return {str(name): _of_sequences(np.arange(len(table)), last, value == name) for name in np.unique(value)}


def read_positions(table: pa.Table) -> Features:
    """Read numbers to regress on, at the positions of ``index_mask``."""
    sequence, position = np.nonzero(np.stack(table.column("index_mask").to_numpy(zero_copy_only=False)))
    features: Features = {}
    for name in filter(table.column_names.__contains__, POSITION_COLUMNS):
        values = np.stack(table.column(name).to_numpy(zero_copy_only=False))
        features[name] = ("regression", Probes(sequence, position, values[sequence, position].astype(np.float64)))
    return features


def read_sub_corpora(table: pa.Table) -> Features:
    """Read sequences with a sub-corpus and without probed positions: their last tokens are probed."""
    value = np.array(table.column("distribution").to_pylist())
    last = _last_positions(table)
    return {str(name): _of_sequences(np.arange(len(table)), last, value == name) for name in np.unique(value)}


LAYOUTS = (
    Layout(("lang", "probe_indices"), read_by_value("lang")),
    Layout(("distribution", "probe_indices"), read_by_value("distribution")),
    Layout(("feature_name", "label"), read_bigrams),
    Layout(("text_true", "target_end"), read_counterfact),
    Layout(("class", "surname_index_end"), read_wikidata),
    Layout(("index_mask", "abs_pos"), read_positions),
    Layout(("distribution",), read_sub_corpora),
)
"""From the most specific layout to the least."""


def _flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of every item of a list column, and the items."""
    import pyarrow.compute as pc  # slow to import

    lengths = pc.list_value_length(column).to_numpy()
    return np.repeat(np.arange(len(lengths)), lengths), pc.list_flatten(column).to_numpy()


def _last_positions(table: pa.Table) -> np.ndarray:
    return table.column(TEXT_LENGTH).to_numpy().astype(np.int64) - 1


def _of_sequences(sequence: np.ndarray, position: np.ndarray, is_positive: np.ndarray) -> tuple[FeatureKind, Probes]:
    return _binary(sequence, position[sequence], is_positive[sequence])


def _binary(sequence: np.ndarray, position: np.ndarray, is_positive: np.ndarray) -> tuple[FeatureKind, Probes]:
    return "binary", Probes(sequence, position.astype(np.int64), np.where(is_positive, 1.0, -1.0))
