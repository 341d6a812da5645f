"""Tables made from the parts of an activation subset: a summary by token, and one file per neuron."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.building.tokenization import decoded_vocabulary
from sparse_probing.activations.subset.neurons import Neuron
from sparse_probing.activations.subset.subset_parts import part_file, read_columns
from sparse_probing.activations.subset.token_summary import token_summary
from sparse_probing.activations.tables.recorded_files import RecordedFiles
from sparse_probing.activations.tables.result_folder import complete_folder, is_complete, read_description
from sparse_probing.activations.tables.table_inputs import TableInputs

TOKEN_SUMMARY = "token_summary.parquet"


def neuron_file(neuron: Neuron) -> str:
    """Return the name of the file of one neuron."""
    return f"by_neuron/{neuron}.parquet"


def tables_are_complete(inputs: TableInputs, hook_point: str, neurons: Sequence[Neuron]) -> bool:
    """Whether a folder is complete and has all requested tables."""
    folder = inputs.folder(hook_point)
    if not is_complete(folder):
        return False
    return set(_requested(inputs, neurons)) <= read_description(folder).files.keys()


def write_derived_tables(
    inputs: TableInputs, hook_point: str, files: RecordedFiles, n_parts: int, neurons: Sequence[Neuron]
) -> None:
    """Write the requested tables that are missing or damaged, and then the description of the folder.

    The parts must have been compared with their records.
    """
    folder, config = inputs.folder(hook_point), inputs.config
    further = [TOKEN_SUMMARY, *map(neuron_file, neurons)]
    files.remove_damaged([name for name in further if (folder / name).exists()])
    requested = [name for name in _requested(inputs, neurons) if not files.is_finished(name)]
    if missing := [neuron for neuron in neurons if neuron_file(neuron) in requested]:
        _write_by_neuron(files, n_parts, missing)
    if TOKEN_SUMMARY in requested:
        _write_token_summary(files, n_parts, neurons, decoded_vocabulary(inputs.model.tokenizer))
    tables = [*map(part_file, range(n_parts)), *(name for name in further if files.is_finished(name))]
    complete_folder(folder, config.record(), tables, {})


def _requested(inputs: TableInputs, neurons: Sequence[Neuron]) -> list[str]:
    """Return the names of the further tables that the settings request."""
    subset = inputs.config.subset
    summary = [] if subset.skip_computing_token_summary_df else [TOKEN_SUMMARY]
    return summary + ([neuron_file(neuron) for neuron in neurons] if subset.save_by_neuron else [])


def _write_by_neuron(files: RecordedFiles, n_parts: int, neurons: Sequence[Neuron]) -> None:
    folder = files.folder
    places = read_columns(folder, n_parts, ["sequence", "position", "token"])
    for neuron in neurons:
        activation = read_columns(folder, n_parts, [str(neuron)])[str(neuron)]
        with files.write(neuron_file(neuron)) as temporary:
            pq.write_table(pa.table({**places, "activation": activation}), temporary)


def _write_token_summary(
    files: RecordedFiles, n_parts: int, neurons: Sequence[Neuron], vocabulary: Sequence[str]
) -> None:
    """Write one row group per neuron, so that at most one neuron is in memory."""
    folder = files.folder
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
    with files.write(TOKEN_SUMMARY) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        for table in chain([first], remaining):
            writer.write_table(table)
