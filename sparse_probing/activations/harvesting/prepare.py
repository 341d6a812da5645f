"""Prepare a harvest: load its data set and model, choose its rows, and plan the store of every hook point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, grid_rows, probed_rows, sequence_rows
from probing_datasets.foundation.errors import CorruptStoreError, StoreFormatError
from sparse_probing.activations.inputs import fingerprint, load_inputs
from sparse_probing.activations.stores.manifest.disk_space import required_bytes
from sparse_probing.activations.stores.manifest.plan_file import HEADER, Header
from sparse_probing.activations.stores.plan import STORED_DTYPES, StorePlan, choose_part_rows
from sparse_probing.activations.stores.storage.files import file_exists, free_space
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import HarvestConfig, Precision
from sparse_probing.models import LanguageModel

ALGORITHM_VERSION = 2
"""Raise when the same settings give other numbers: old stores are then not resumed."""

RECORDED_WHEN_SET = ("quantization", "next_token", "all_activations", "positions", "flatten_and_ignore_padding")
"""Keys that a fingerprint has only where they are set: stores that are older than these settings are still resumed."""


UNKNOWN_WITHOUT_WEIGHTS = (("weight_hash", ""), ("device", "auto"))
"""What a fingerprint holds in place of what is known only where the weights are loaded."""


@dataclass(frozen=True)
class PreparedHarvest:
    """A harvest that is ready to run."""

    config: HarvestConfig
    dataset: FeatureDataset
    model: LanguageModel
    rows: ProbedRows
    plans: dict[str, StorePlan]
    """The plan of the store of every hook point."""

    @property
    def plan(self) -> StorePlan:
        """The plan of the store of ``config.activations.probe_location``."""
        return self.plans[self.config.activations.probe_location]

    def path(self, hook_point: str) -> StorePath:
        """Return the folder or URL of the store of a hook point."""
        return self.config.store_folder(hook_point)

    def parts_of_process(self, hook_point: str) -> Sequence[int]:
        """Return the parts that this process writes, of all parts of the store of a hook point."""
        return self.config.share.of(range(self.plans[hook_point].n_parts))

    def summary(self) -> str:
        """Return one line for every store: what will be stored, the space that it needs, and the free space."""
        lines = []
        for hook_point, plan in self.plans.items():
            path = self.path(hook_point)
            free = free_space(path)
            free_text = "" if free is None else f", {free / 1e9:.1f} GB free"
            lines.append(
                f"{plan.n_rows:,} rows, width {hook_point} {plan.widths[hook_point]:,}, {len(plan.layers)} layers, "
                f"{plan.n_parts} parts: {required_bytes(plan) / 1e9:.3f} GB needed{free_text}, in {path}"
            )
        return "\n".join(lines)


def prepare_harvest(config: HarvestConfig, weights: bool = True, model: LanguageModel | None = None) -> PreparedHarvest:
    """Load the data set and the model, check that they fit, and plan the stores.

    Parameters
    ----------
    config : HarvestConfig
    weights : bool
        Whether to load weights. Without weights a harvest can be planned, in seconds for any model, and cannot run.
    model : LanguageModel, optional
        The model of ``config.activations.model``, when it is in memory already.

    Raises
    ------
    DatasetError, ModelError
        When the data set, the model, a layer or a hook point does not exist, or they do not fit.
    """
    activations = config.activations
    dataset, model = load_inputs(activations, config.forward_pass, weights, model)
    rows = harvest_rows(config, dataset)
    layers = model.check_layers(config.layers)
    hook_points = dict.fromkeys((activations.probe_location, *config.further_locations))  # each once, in order
    widths = model.widths(hook_points, layers)
    part_rows = _part_rows(rows, config.storage.output_precision, len(layers) * sum(widths.values()))

    recorded: dict[str, Any] = {
        "algorithm_version": ALGORITHM_VERSION,
        **fingerprint(activations, config.forward_pass, dataset, model),
        "activation_aggregation": activations.activation_aggregation,
        "next_token": activations.probe_next_token_feature,
        "all_activations": config.experiment_type == "all_activations",
        "positions": sorted(set(config.tokens.positions)),
        "flatten_and_ignore_padding": config.tokens.flatten_and_ignore_padding,
    }
    recorded = {name: value for name, value in recorded.items() if value or name not in RECORDED_WHEN_SET}

    plans: dict[str, StorePlan] = {}
    for hook_point, width in widths.items():
        plan = StorePlan(
            recorded,
            layers,
            (hook_point,),
            {hook_point: width},
            len(rows),
            part_rows,
            config.storage.output_precision,
        )
        plans[hook_point] = _with_existing_parts(plan, config.store_folder(hook_point))
    return PreparedHarvest(config, dataset, model, rows, plans)


def harvest_rows(config: HarvestConfig, dataset: FeatureDataset) -> ProbedRows:
    """Return the rows to store: those that the features need, or all tokens."""
    aggregation = config.activations.activation_aggregation
    if config.experiment_type != "all_activations":
        return probed_rows(dataset, aggregation, config.activations.probe_next_token_feature)
    if aggregation != "none":
        return sequence_rows(dataset)
    return grid_rows(dataset, config.tokens.positions, padding=not config.tokens.flatten_and_ignore_padding)


def existing_header(path: StorePath) -> Header | None:
    """Return the header of the store at a place, or None when there is no store, or none that can be used.

    Raises
    ------
    StoreError
        When the place cannot be reached: it is then not known whether a store exists.
    """
    try:
        return Header.read(path) if file_exists(path / HEADER) else None
    except (CorruptStoreError, StoreFormatError):
        return None


def _part_rows(rows: ProbedRows, precision: Precision, n_columns: int) -> int:
    """Return the rows of a part, for all hook points together.

    Where all sequences have equally many rows, a part holds whole sequences: a sequence whose rows lie in
    two parts is run twice.
    """
    buffered = STORED_DTYPES["32" if precision == "8" else precision]
    part_rows = choose_part_rows(len(rows), n_columns * buffered.itemsize)
    rows_of_sequences = np.unique(np.unique(rows.sequence, return_counts=True)[1]).tolist()
    if part_rows == len(rows) or len(rows_of_sequences) > 1:
        return part_rows
    return part_rows - part_rows % rows_of_sequences[0] or part_rows


def _with_existing_parts(plan: StorePlan, path: StorePath) -> StorePlan:
    """Return the plan of the store that exists at a place, where it differs only in the rows of its parts.

    So hook points can be added later: all hook points together decide how many rows a new store has in a part.
    """
    header = existing_header(path)
    if header is None:
        return plan
    # Planned without weights, their hash, and the device that is meant by "auto" where they will be loaded, are
    # unknown; the existing store is then taken to have the right ones.
    unknown = {
        name: header.plan.fingerprint.get(name)
        for name, placeholder in UNKNOWN_WITHOUT_WEIGHTS
        if plan.fingerprint[name] == placeholder
    }
    same_parts = replace(plan, part_rows=header.plan.part_rows, fingerprint=plan.fingerprint | unknown)
    return same_parts if same_parts == header.plan else plan
