"""Prepare an activation subset: its neurons, its rows, and the parts into which they are cut."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from probing_datasets.feature_dataset.probed_rows import ProbedRows, grid_rows
from sparse_probing.activations.subset.neurons import PRE_ACTIVATIONS, Neuron, check_neurons, select_neurons
from sparse_probing.activations.subset.subset_parts import part_file
from sparse_probing.activations.tables.recorded_files import RecordedFiles
from sparse_probing.activations.tables.result_folder import recorded_files
from sparse_probing.activations.tables.table_inputs import TableInputs, load_table_inputs
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

ALGORITHM_VERSION = 1
"""Raise when the same settings give other numbers: old parts are then not resumed."""
PART_SEQUENCES = 256


@dataclass(frozen=True)
class PreparedSubset:
    """An activation subset that is ready to be written."""

    inputs: TableInputs
    rows: ProbedRows
    neurons: dict[str, tuple[Neuron, ...]]
    """By hook point."""

    @cached_property
    def bounds(self) -> np.ndarray:
        """First row of every part, and the end of the last: (n_parts + 1,) int64."""
        n_sequences = self.inputs.dataset.description.n_sequences
        first = np.arange(0, n_sequences, PART_SEQUENCES)
        return np.append(np.searchsorted(self.rows.sequence, first), len(self.rows))

    @property
    def n_parts(self) -> int:
        """Number of parts; a part has no rows where all its sequences end before the chosen `positions`."""
        return len(self.bounds) - 1

    def plan(self, hook_point: str) -> dict[str, Any]:
        """Return everything that decides the numbers of a hook point, as JSON."""
        plan = {
            "algorithm_version": ALGORITHM_VERSION,
            **self.inputs.fingerprint(hook_point),
            "neurons": [str(neuron) for neuron in self.neurons[hook_point]],
            "positions": sorted(set(self.inputs.config.tokens.positions)),
            "part_sequences": PART_SEQUENCES,
        }
        del plan["layers"]  # each neuron contains its layer
        return plan

    def tokens(self, start: int, stop: int) -> np.ndarray:
        """Return the token ids of rows ``start`` to ``stop``: (stop - start,) int32."""
        sequence, position = self.rows.sequence[start:stop], self.rows.position[start:stop]
        distinct, inverse = np.unique(sequence, return_inverse=True)
        tokens = self.inputs.dataset.tokens(distinct)
        first = np.cumsum([0, *map(len, tokens)])[:-1]
        return np.concatenate([*tokens, np.empty(0, np.int32)])[first[inverse] + position]

    def open_parts(self, hook_point: str) -> list[int]:
        """Return the parts that have no record yet, or no file of the recorded length."""
        files = self.files(hook_point)
        return [part for part in range(self.n_parts) if not files.is_finished(part_file(part))]

    def files(self, hook_point: str) -> RecordedFiles:
        """Return the files of a hook point."""
        return recorded_files(self.inputs.folder(hook_point), self.plan(hook_point))


def prepare_subset(config: HarvestConfig) -> PreparedSubset:
    """Load the data set and the model, and select neurons and rows.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        As `load_table_inputs`; also when no neuron is selected, or a neuron does not exist.
    """
    as_paper = config.experiment_type == "activation_subset"
    if as_paper:
        # The paper's code stores pre-activations whatever its --probe_location is.
        given = config.activations.probe_location
        if given != PRE_ACTIVATIONS:
            logger.warning(
                "Note: activation_subset stores pre-activations (%s), as in the paper's code, not --probe_location %s. "
                "--experiment_type neuron_subset stores those.",
                PRE_ACTIVATIONS,
                given,
            )
        config = config.with_flags(probe_location=PRE_ACTIVATIONS)
    inputs = load_table_inputs(config)
    model = inputs.model
    neurons: dict[str, tuple[Neuron, ...]] = {}
    for hook_point, width in inputs.widths.items():
        neurons[hook_point] = select_neurons(
            config.subset, config.activations, config.layers, hook_point, as_paper=as_paper
        )
        check_neurons(neurons[hook_point], model.name, model.n_layers, hook_point, width)
    rows = grid_rows(inputs.dataset, config.tokens.positions, padding=False)
    return PreparedSubset(inputs, rows, neurons)
