"""What a harvest will do: its rows, and the plan of the store of every hook point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from probing_datasets.building.tokenization import tokenizer_hash
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, grid_rows, probed_rows, sequence_rows
from probing_datasets.foundation.errors import CorruptStoreError, ModelError, StoreFormatError
from probing_datasets.model_names import model_identity
from sparse_probing.activations.stores.manifest.disk import required_bytes
from sparse_probing.activations.stores.manifest.header import HEADER, Header
from sparse_probing.activations.stores.plan import STORED_DTYPES, StorePlan, choose_part_rows
from sparse_probing.activations.stores.storage.files import file_exists, free_space
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import HarvestConfig
from sparse_probing.models import LanguageModel, load_model

ALGORITHM_VERSION = 2
"""Raise when the same settings give other numbers: old stores are then not resumed."""


@dataclass(frozen=True)
class Harvest:
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
        """Place of the store of a hook point."""
        return self.config.store_folder(hook_point)

    def share(self, parts: range | list[int]) -> list[int]:
        """Return those of the parts that this process does."""
        return [part for part in parts if part % self.config.share.world_size == self.config.share.rank]

    def summary(self) -> str:
        """Say what will be stored, and the space it needs and finds."""
        return "\n".join(self._summary(hook_point, plan) for hook_point, plan in self.plans.items())

    def _summary(self, hook_point: str, plan: StorePlan) -> str:
        free = free_space(self.path(hook_point))
        room = "" if free is None else f", {free / 1e9:.1f} GB free"
        return (
            f"{plan.n_rows:,} rows, width {hook_point} {plan.widths[hook_point]:,}, {len(plan.layers)} layers, "
            f"{plan.n_parts} parts: {required_bytes(plan) / 1e9:.3f} GB needed{room}, in {self.path(hook_point)}"
        )


def prepare_harvest(config: HarvestConfig, weights: bool = True) -> Harvest:
    """Load the data set and the model, check that they fit, and plan the stores.

    Parameters
    ----------
    config : HarvestConfig
    weights : bool
        Without weights nothing can be run, and planning takes seconds for any model.
    """
    dataset, model = load_inputs(config, weights)
    rows = harvest_rows(config, dataset)
    return Harvest(config, dataset, model, rows, _plans(config, dataset, model, rows))


def load_inputs(config: HarvestConfig, weights: bool = True) -> tuple[FeatureDataset, LanguageModel]:
    """Load the data set and the model of a configuration, and check that they fit."""
    dataset = load_feature_dataset(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    model = load_model(
        config.activations.model,
        config.activations.revision,
        config.activations.random_init,
        config.activations.seed,
        config.forward_pass.device,
        config.forward_pass.dtype,
        device_map=config.forward_pass.device_map,
        quantization=config.forward_pass.quantization,
        weights=weights,
    )
    check_fit(config, dataset, model)
    return dataset, model


def harvest_rows(config: HarvestConfig, dataset: FeatureDataset) -> ProbedRows:
    """Return the rows to store: those that the features need, or all tokens."""
    if config.experiment_type != "all_activations":
        return probed_rows(
            dataset, config.activations.activation_aggregation, config.activations.probe_next_token_feature
        )
    if config.activations.activation_aggregation != "none":
        return sequence_rows(dataset)
    return grid_rows(dataset, config.tokens.positions, padding=not config.tokens.flatten_and_ignore_padding)


def standing_header(path: StorePath) -> Header | None:
    """Return the header of the store that stands at a place, or None when there is none, or none that can be used.

    StoreError when the place cannot be reached: what stands there is then not known.
    """
    try:
        return Header.read(path) if file_exists(path / HEADER) else None
    except (CorruptStoreError, StoreFormatError):
        return None


def check_fit(config: HarvestConfig, dataset: FeatureDataset, model: LanguageModel) -> None:
    """Raise ModelError when a data set was tokenized otherwise, or is longer than the model takes."""
    d = dataset.description
    if tokenizer_hash(model.tokenizer) != d.tokenizer_hash:
        raise ModelError(
            f"{d.name} was tokenized with {d.tokenizer!r}, whose tokenizer differs from that of {config.activations.model!r}. "
            f"Make the data set again with --tokenizer {config.activations.model}."
        )
    if int(dataset.lengths.max()) > model.context_length:
        raise ModelError(
            f"{d.name} has sequences of {int(dataset.lengths.max())} tokens, and {config.activations.model!r} takes "
            f"{model.context_length}. Make the data set again with --context_length {model.context_length}."
        )


def _plans(
    config: HarvestConfig, dataset: FeatureDataset, model: LanguageModel, rows: ProbedRows
) -> dict[str, StorePlan]:
    layers, hook_points = (
        model.check_layers(config.layers),
        (config.activations.probe_location, *config.further_locations),
    )
    widths = model.widths(dict.fromkeys(hook_points), layers)
    part_rows = _part_rows(config, rows, len(layers) * sum(widths.values()))
    fingerprint = _fingerprint(config, dataset, model)
    plans = {
        hook_point: StorePlan(
            fingerprint,
            layers,
            (hook_point,),
            {hook_point: width},
            len(rows),
            part_rows,
            config.storage.output_precision,
        )
        for hook_point, width in widths.items()
    }
    return {hook_point: _cut_as_standing(plan, config.store_folder(hook_point)) for hook_point, plan in plans.items()}


def _part_rows(config: HarvestConfig, rows: ProbedRows, n_columns: int) -> int:
    """Rows of a part, for all hook points together; where sequences have equally many rows, whole sequences.

    A sequence whose rows lie in two parts is run twice.
    """
    buffered = STORED_DTYPES["32" if config.storage.output_precision == "8" else config.storage.output_precision]
    chosen = choose_part_rows(len(rows), n_columns * buffered.itemsize)
    of_sequence = np.unique(np.unique(rows.sequence, return_counts=True)[1]).tolist()
    whole = chosen - chosen % of_sequence[0] if len(of_sequence) == 1 else 0
    return chosen if chosen == len(rows) else whole or chosen


def _cut_as_standing(plan: StorePlan, path: StorePath) -> StorePlan:
    """Take over the part ranges of a store that stands, so that hook points can be added to it later."""
    if (header := standing_header(path)) is None:
        return plan
    # Planned without weights, their hash is unknown; that of the store is then taken to be right.
    weight_hash = plan.fingerprint["weight_hash"] or header.plan.fingerprint.get("weight_hash")
    fingerprint = plan.fingerprint | {"weight_hash": weight_hash}
    cut = replace(plan, part_rows=header.plan.part_rows, fingerprint=fingerprint)
    return cut if cut == header.plan else plan


def _fingerprint(config: HarvestConfig, dataset: FeatureDataset, model: LanguageModel) -> dict[str, Any]:
    always = {
        "algorithm_version": ALGORITHM_VERSION,
        "model": model_identity(config.activations.model),
        "revision": config.activations.revision,
        "random_init": config.activations.seed if config.activations.random_init else None,
        "weight_hash": model.weight_hash,
        "tokenizer_hash": dataset.description.tokenizer_hash,
        "dataset": dataset.name,
        "dataset_hash": dataset.description.content_hash,
        "activation_aggregation": config.activations.activation_aggregation,
        "dtype": config.forward_pass.dtype,
        "device": config.forward_pass.device_map or config.forward_pass.device.split(":")[0],
    }
    # Only where they are set, so that stores from before there were these settings are still resumed.
    sometimes = {
        "quantization": config.forward_pass.quantization,
        "next_token": config.activations.probe_next_token_feature,
        "all_activations": config.experiment_type == "all_activations",
        "positions": sorted(set(config.tokens.positions)),
        "flatten_and_ignore_padding": config.tokens.flatten_and_ignore_padding,
    }
    return always | {name: value for name, value in sometimes.items() if value}
