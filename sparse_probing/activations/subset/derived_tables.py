"""Tables made of the parts of an activation subset: summaries by token, and one file per neuron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probing_datasets.building.tokenization import decoded_vocabulary
from probing_datasets.foundation.atomic_files import atomic_file
from sparse_probing.activations.subset.neurons import Neuron
from sparse_probing.activations.subset.parts import part_file, read_columns
from sparse_probing.activations.subset.token_summary import token_summary
from sparse_probing.activations.tables.result_folder import finish_folder, is_finished
from sparse_probing.activations.tables.subject import Subject

TOKEN_SUMMARY = "token_summary.parquet"


def neuron_file(neuron: Neuron) -> str:
    """Return the name of the file of one neuron."""
    return f"by_neuron/{neuron}.parquet"


def write_derived_tables(subject: Subject, hook_point: str, n_parts: int, neurons: Sequence[Neuron]) -> None:
    """Write those tables that are asked for and missing, and then the description of the folder."""
    folder, config = subject.folder(hook_point), subject.config
    summarised = not config.subset.skip_computing_token_summary_df and not (folder / TOKEN_SUMMARY).exists()
    split = [n for n in neurons if config.subset.save_by_neuron and not (folder / neuron_file(n)).exists()]
    if is_finished(folder) and not summarised and not split:
        return
    if split:
        _write_by_neuron(folder, n_parts, split)
    if summarised:
        _write_token_summary(folder, n_parts, neurons, decoded_vocabulary(subject.model.tokenizer))
    possible = [*map(part_file, range(n_parts)), TOKEN_SUMMARY, *map(neuron_file, neurons)]
    tables = [name for name in possible if (folder / name).exists()]
    finish_folder(folder, config, tables, {})


def _write_by_neuron(folder: Path, n_parts: int, neurons: Sequence[Neuron]) -> None:
    places = read_columns(folder, n_parts, ["sequence", "position", "token"])
    for neuron in neurons:
        activation = read_columns(folder, n_parts, [str(neuron)])[str(neuron)]
        with atomic_file(folder / neuron_file(neuron)) as temporary:
            pq.write_table(pa.table({**places, "activation": activation}), temporary)


def _write_token_summary(folder: Path, n_parts: int, neurons: Sequence[Neuron], vocabulary: Sequence[str]) -> None:
    """Write one row group per neuron, so that no more than one neuron is in memory."""
    token = read_columns(folder, n_parts, ["token"])["token"]
    tables = (
        _summary_table(neuron, token, read_columns(folder, n_parts, [str(neuron)])[str(neuron)], vocabulary)
        for neuron in neurons
    )
    first = next(tables)
    with atomic_file(folder / TOKEN_SUMMARY) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def _summary_table(neuron: Neuron, token: np.ndarray, activation: np.ndarray, vocabulary: Sequence[str]) -> pa.Table:
    summary: pd.DataFrame = token_summary(token, activation, vocabulary)
    summary.insert(0, "layer", np.int32(neuron.layer))
    summary.insert(1, "neuron", np.int32(neuron.index))
    return pa.Table.from_pandas(summary, preserve_index=False)
