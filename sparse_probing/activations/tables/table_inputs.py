"""The inputs of the tables of stage 1: a data set, a model that fits it, layers and hook points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.activations.inputs import fingerprint, load_inputs
from sparse_probing.config import HarvestConfig
from sparse_probing.config.result_folders import tables_folder
from sparse_probing.models import LanguageModel


@dataclass(frozen=True)
class TableInputs:
    """A data set and a model that fit each other, and the layers and hook points that tables are made of."""

    config: HarvestConfig
    dataset: FeatureDataset
    model: LanguageModel
    layers: tuple[int, ...]
    widths: dict[str, int]
    """Number of neurons of every hook point."""

    def folder(self, hook_point: str) -> Path:
        """Return the folder of the tables of a hook point."""
        return tables_folder(self.config.activations, self.config.experiment_type, hook_point)

    def fingerprint(self, hook_point: str) -> dict[str, Any]:
        """Return what decides the activations of a hook point, as JSON."""
        config = self.config
        common = fingerprint(config.activations, config.forward_pass, self.dataset, self.model)
        return common | {"hook_point": hook_point, "layers": list(self.layers)}


def load_table_inputs(config: HarvestConfig) -> TableInputs:
    """Load the data set and the model of a configuration, and check that they fit.

    With ``dry_run`` the model has no weights.

    Raises
    ------
    SettingsError
        When activations are aggregated by sequence: these experiment types need single tokens.
    DatasetError, ModelError
        When the data set, the model, a layer or a hook point does not exist, or they do not fit.
    """
    if config.activations.activation_aggregation != "none":
        raise SettingsError(f"{config.experiment_type} needs single tokens: --activation_aggregation none.")
    dataset, model = load_inputs(config.activations, config.forward_pass, weights=not config.dry_run)
    layers = model.check_layers(config.layers)
    hook_points = dict.fromkeys((config.activations.probe_location, *config.further_locations))
    return TableInputs(config, dataset, model, layers, model.widths(hook_points, layers))
