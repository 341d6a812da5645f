"""Compute, write and read the parts of an activation subset: parquet files, each with the tokens of some sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from probing_datasets.feature_dataset.probed_rows import ProbedRows
from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.model_pass.batches import Batch, part_batches
from sparse_probing.activations.model_pass.forward_pass import forward
from sparse_probing.activations.subset.neurons import Neuron
from sparse_probing.activations.tables.recorded_files import RecordedFiles
from sparse_probing.activations.tables.table_inputs import TableInputs

PARTS = "parts"

Values = dict[Neuron, np.ndarray]
"""(n,) float32 by neuron."""


def part_file(part: int) -> str:
    """Return the file name of a part."""
    return f"{PARTS}/part-{part:06d}.parquet"


def compute_part(
    inputs: TableInputs, rows: ProbedRows, start: int, stop: int, neurons: dict[str, tuple[Neuron, ...]]
) -> dict[str, Values]:
    """Return the activations at rows ``start`` to ``stop``, by hook point and neuron.

    Raises
    ------
    ActivationError
        When an activation is NaN or infinite.
    """
    values = {hook: {n: np.empty(stop - start, np.float32) for n in selected} for hook, selected in neurons.items()}
    all_neurons = sorted(set().union(*neurons.values()))
    layers = sorted({neuron.layer for neuron in all_neurons})
    columns = torch.tensor(sorted({neuron.index for neuron in all_neurons}))
    batches = part_batches(inputs.dataset, rows, start, stop, inputs.config.forward_pass.batch_size)

    def select(batch: Batch, activation: torch.Tensor) -> torch.Tensor:
        row = batch.sequence * activation.shape[1] + batch.position
        existing = columns[columns < activation.shape[2]].to(activation.device)
        return activation.flatten(0, 1).index_select(1, existing).index_select(0, row.to(activation.device)).float()

    place = {int(column): i for i, column in enumerate(columns)}
    for batch, kept in forward(inputs.model, batches, list(neurons), layers, select):
        for hook, of_hook in values.items():
            for neuron, target in of_hook.items():
                target[batch.row] = kept[hook, neuron.layer][:, place[neuron.index]].numpy()

    for hook, of_hook in values.items():
        for neuron, array in of_hook.items():
            n_not_finite = int((~np.isfinite(array)).sum())
            if n_not_finite:
                raise ActivationError(
                    f"{hook}, {neuron}: {n_not_finite} activations of a part are NaN or infinite. "
                    "The model itself computes them: run it in --dtype float32, or check its weights."
                )
    return values


def write_part(
    files: RecordedFiles, part: int, rows: ProbedRows, start: int, stop: int, token: np.ndarray, values: Values
) -> None:
    """Write a part atomically, and then its record."""
    columns = {
        "sequence": pa.array(rows.sequence[start:stop], pa.int64()),
        "position": pa.array(rows.position[start:stop], pa.int32()),
        "token": pa.array(token, pa.int32()),
        **{str(neuron): pa.array(of_neuron) for neuron, of_neuron in values.items()},
    }
    with files.write(part_file(part)) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_columns(folder: Path, n_parts: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read columns of all parts, whose checksums were compared before."""
    tables = [pq.read_table(folder / part_file(part), columns=list(names)) for part in range(n_parts)]
    table = pa.concat_tables(tables)
    return {name: table.column(name).to_numpy() for name in names}
