"""What an experiment looks at: a data set, a model, and layers and hook points of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.model_names import model_identity
from sparse_probing.activations.harvesting.harvest_plan import load_inputs
from sparse_probing.config import HarvestConfig
from sparse_probing.config.locations import tables_folder
from sparse_probing.models import LanguageModel


@dataclass(frozen=True)
class Subject:
    """A data set and a model that fit each other."""

    config: HarvestConfig
    dataset: FeatureDataset
    model: LanguageModel
    layers: tuple[int, ...]
    widths: dict[str, int]
    """Neurons of every hook point."""

    def folder(self, hook_point: str) -> Path:
        """Folder of the results of a hook point."""
        return tables_folder(self.config.activations, self.config.experiment_type, hook_point)

    def fingerprint(self, hook_point: str) -> dict[str, Any]:
        """Return what decides the activations of a hook point, as JSON."""
        config = self.config
        return {
            "model": model_identity(config.activations.model),
            "revision": config.activations.revision,
            "random_init": config.activations.seed if config.activations.random_init else None,
            "weight_hash": self.model.weight_hash,
            "tokenizer_hash": self.dataset.description.tokenizer_hash,
            "dataset": self.dataset.name,
            "dataset_hash": self.dataset.description.content_hash,
            "dtype": config.forward_pass.dtype,
            "quantization": config.forward_pass.quantization,
            "device": config.forward_pass.device_map or config.forward_pass.device.split(":")[0],
            "hook_point": hook_point,
            "layers": list(self.layers),
        }

    def share(self, n_parts: int) -> Sequence[int]:
        """Return those of the parts 0 to n_parts - 1 that this process does."""
        return self.config.share.of(range(n_parts))


def load_subject(config: HarvestConfig) -> Subject:
    """Load the data set and the model of a configuration, and check that they fit.

    With ``dry_run`` the model has no weights.

    Raises
    ------
    SettingsError
        When rows are to be pooled: experiment types that use this look at single tokens.
    DatasetError, ModelError
        When the data set, the model, a layer or a hook point does not exist, or they do not fit.
    """
    if config.activations.activation_aggregation != "none":
        raise SettingsError(f"{config.experiment_type} looks at single tokens: --activation_aggregation none.")
    dataset, model = load_inputs(config, weights=not config.dry_run)
    layers = model.check_layers(config.layers)
    hook_points = dict.fromkeys((config.activations.probe_location, *config.further_locations))
    return Subject(config, dataset, model, layers, model.widths(hook_points, layers))


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let PyTorch use so many threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
