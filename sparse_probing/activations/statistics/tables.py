"""Write the tables of a histogram: one row per neuron, per example of a neuron, and per class and neuron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.extreme_examples import ExtremeExamples
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.neuron_statistics import NeuronStatistics
from sparse_probing.activations.statistics.token_classes import TokenClass
from sparse_probing.activations.statistics.token_texts import TokenTexts
from sparse_probing.activations.tables.recorded_files import RecordedFiles

TableColumns = dict[str, pa.Array]


def layer_file(layer: int) -> str:
    """Return the file name of the table of a layer."""
    return f"layer_{layer:02d}.parquet"


def write_layer(files: RecordedFiles, layer: int, statistics: LayerStatistics) -> list[str]:
    """Write the table of the neurons of one layer atomically and return its name within the folder, in a list."""
    columns = statistics_columns(statistics.all_tokens, statistics.bins)
    return [_write(files, layer_file(layer), pa.table(columns))]


def write_examples(files: RecordedFiles, layer: int, statistics: LayerStatistics, texts: TokenTexts) -> list[str]:
    """Write the table of the examples of one layer atomically and return its name within the folder, in a list."""
    ends = [pa.table(example_columns(examples, texts)) for examples in (statistics.largest, statistics.smallest)]
    table = pa.concat_tables(ends).sort_by([("neuron", "ascending"), ("end", "ascending"), ("rank", "ascending")])
    return [_write(files, f"examples/{layer_file(layer)}", table)]


def write_classes(
    files: RecordedFiles, layer: int, statistics: LayerStatistics, classes: Sequence[TokenClass]
) -> list[str]:
    """Write the table of the classes of one layer atomically, if there are classes; return its name in a list."""
    tables = [
        pa.table(
            {"feature": _repeat(c.feature, s), "label": _repeat(c.label, s), **statistics_columns(s, statistics.bins)}
        )
        for c, s in zip(classes, statistics.by_class, strict=True)
    ]
    return [_write(files, f"classes/{layer_file(layer)}", pa.concat_tables(tables))] if tables else []


def statistics_columns(s: NeuronStatistics, bins: Bins) -> TableColumns:
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
        "positive_fraction": pa.array(s.positive.cpu().numpy() / n),
        "hist_min": pa.array(bins.low.astype(np.float32)),
        "hist_max": pa.array(bins.high.astype(np.float32)),
        "below": pa.array(counts[:, 0]),
        "counts": _lists(counts[:, 1:-1]),
        "above": pa.array(counts[:, -1]),
    }


def example_columns(examples: ExtremeExamples, texts: TokenTexts) -> TableColumns:
    """Return a row per neuron and example: its end, rank, value, place, token string and context."""
    value, number, there = examples.examples()
    neuron, rank = np.nonzero(there)
    sequence, position = texts.numbers.place(number[there])
    token, context = texts.token_and_context(number[there])
    return {
        "neuron": pa.array(neuron.astype(np.int32)),
        "end": pa.array([examples.end] * len(neuron), pa.string()),
        "rank": pa.array(rank.astype(np.int32) + 1),
        "value": pa.array(value[there]),
        "sequence": pa.array(sequence),
        "position": pa.array(position),
        "token": pa.array(token, pa.string()),
        "context": pa.array(context, pa.string()),
    }


def _lists(values: np.ndarray) -> pa.Array:
    """Return the values of each row as a list."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def _repeat(value: object, s: NeuronStatistics) -> list:
    return [value] * len(s.mean)


def _write(files: RecordedFiles, name: str, table: pa.Table) -> str:
    with files.write(name) as temporary:
        pq.write_table(table, temporary)
    return name
