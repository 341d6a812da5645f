"""Tables made from the parts of an activation subset: a summary by token, and one file per neuron."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.building.tokenization import decoded_vocabulary
from probing_datasets.foundation.atomic_files import atomic_file
from sparse_probing.activations.subset.neurons import Neuron
from sparse_probing.activations.subset.subset_parts import part_file, read_columns
from sparse_probing.activations.subset.token_summary import token_summary
from sparse_probing.activations.tables.result_folder import complete_folder, is_complete
from sparse_probing.activations.tables.table_inputs import TableInputs

TOKEN_SUMMARY = "token_summary.parquet"


def neuron_file(neuron: Neuron) -> str:
    """Return the name of the file of one neuron."""
    return f"by_neuron/{neuron}.parquet"


def write_derived_tables(inputs: TableInputs, hook_point: str, n_parts: int, neurons: Sequence[Neuron]) -> None:
    """Write the requested tables that are missing, and then the description of the folder."""
    folder, config = inputs.folder(hook_point), inputs.config
    needs_summary = not config.subset.skip_computing_token_summary_df and not (folder / TOKEN_SUMMARY).exists()
    missing = [n for n in neurons if config.subset.save_by_neuron and not (folder / neuron_file(n)).exists()]
    if is_complete(folder) and not needs_summary and not missing:
        return
    if missing:
        _write_by_neuron(folder, n_parts, missing)
    if needs_summary:
        _write_token_summary(folder, n_parts, neurons, decoded_vocabulary(inputs.model.tokenizer))
    possible = [*map(part_file, range(n_parts)), TOKEN_SUMMARY, *map(neuron_file, neurons)]
    tables = [name for name in possible if (folder / name).exists()]
    complete_folder(folder, config.record(), tables, {})


def _write_by_neuron(folder: Path, n_parts: int, neurons: Sequence[Neuron]) -> None:
    places = read_columns(folder, n_parts, ["sequence", "position", "token"])
    for neuron in neurons:
        activation = read_columns(folder, n_parts, [str(neuron)])[str(neuron)]
        with atomic_file(folder / neuron_file(neuron)) as temporary:
            pq.write_table(pa.table({**places, "activation": activation}), temporary)


def _write_token_summary(folder: Path, n_parts: int, neurons: Sequence[Neuron], vocabulary: Sequence[str]) -> None:
    """Write one row group per neuron, so that at most one neuron is in memory."""
    token = read_columns(folder, n_parts, ["token"])["token"]

    def tables() -> Iterator[pa.Table]:
        for neuron in neurons:
            activation = read_columns(folder, n_parts, [str(neuron)])[str(neuron)]
            summary: pd.DataFrame = token_summary(token, activation, vocabulary)
            summary.insert(0, "layer", np.int32(neuron.layer))
            summary.insert(1, "neuron", np.int32(neuron.index))
            yield pa.Table.from_pandas(summary, preserve_index=False)

    remaining = tables()
    first = next(remaining)
    with atomic_file(folder / TOKEN_SUMMARY) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        for table in chain([first], remaining):
            writer.write_table(table)
