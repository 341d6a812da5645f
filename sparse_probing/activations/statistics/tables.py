"""Write the tables of a histogram: one row per neuron, and one per class and neuron."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.foundation.atomic_files import atomic_file
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.neuron_statistics import NeuronStatistics
from sparse_probing.activations.statistics.token_classes import TokenClass
from sparse_probing.activations.statistics.token_texts import TokenTexts
from sparse_probing.activations.statistics.top_examples import TopExamples

TableColumns = dict[str, pa.Array]


def layer_file(layer: int) -> str:
    """Return the file name of the table of a layer."""
    return f"layer_{layer:02d}.parquet"


def write_layer(folder: Path, layer: int, statistics: LayerStatistics, texts: TokenTexts) -> list[str]:
    """Write the tables of one layer atomically and return their names within the folder."""
    columns = {**statistics_columns(statistics.all_tokens), **example_columns(statistics.top, texts)}
    return [_write(folder, layer_file(layer), pa.table(columns))]


def write_classes(folder: Path, layer: int, statistics: LayerStatistics, classes: Sequence[TokenClass]) -> list[str]:
    """Write the table of the classes of one layer atomically, if there are classes; return its name in a list."""
    tables = [
        pa.table({"feature": _repeat(c.feature, s), "label": _repeat(c.label, s), **statistics_columns(s)})
        for c, s in zip(classes, statistics.by_class, strict=True)
    ]
    return [_write(folder, f"classes/{layer_file(layer)}", pa.concat_tables(tables))] if tables else []


def statistics_columns(s: NeuronStatistics) -> TableColumns:
    """Return a column for each statistic; the variance is that of a population (divided by n)."""
    n = max(int(s.n), 1)
    counts = s.counts.cpu().numpy()
    return {
        "neuron": pa.array(np.arange(len(counts), dtype=np.int32)),
        "n": pa.array(np.full(len(counts), int(s.n))),
        "mean": pa.array(s.mean.cpu().numpy()),
        "variance": pa.array(s.square.cpu().numpy() / n),
        "minimum": pa.array(s.minimum.cpu().numpy()),
        "maximum": pa.array(s.maximum.cpu().numpy()),
        "nonzero_fraction": pa.array(s.nonzero.cpu().numpy() / n),
        "below": pa.array(counts[:, 0]),
        "counts": _lists(counts[:, 1:-1], np.ones_like(counts[:, 1:-1], dtype=bool)),
        "above": pa.array(counts[:, -1]),
    }


def example_columns(top: TopExamples, texts: TokenTexts) -> TableColumns:
    """Return list columns of the top examples: value, sequence, position, token string and context."""
    value, number, there = top.examples()
    sequence, position = texts.numbers.place(np.where(there, number, 0))
    token, context = texts.token_and_context(number[there])
    return {
        "top_value": _lists(value, there),
        "top_sequence": _lists(sequence, there),
        "top_position": _lists(position, there),
        "top_token": _nested(token, there),
        "top_context": _nested(context, there),
    }


def _lists(values: np.ndarray, there: np.ndarray) -> pa.Array:
    """Return a list of the existing values of each row."""
    return _nested(values[there], there)


def _nested(flat: Sequence | np.ndarray, there: np.ndarray) -> pa.Array:
    """Return the values of all rows, given one after the other, as a list for each row."""
    offsets = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _repeat(value: object, s: NeuronStatistics) -> list:
    return [value] * len(s.mean)


def _write(folder: Path, name: str, table: pa.Table) -> str:
    with atomic_file(folder / name) as temporary:
        pq.write_table(table, temporary)
    return name
