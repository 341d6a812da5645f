"""What an experiment looks at: a data set, a model, and layers and hook points of it."""

from __future__ import annotations

from collections.abc import Iterator
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
        config = self.config
        root = config.results_dir / config.experiment_type / config.model_name / config.dataset_name
        return root / hook_point

    def fingerprint(self, hook_point: str) -> dict[str, Any]:
        """Return what decides the activations of a hook point, as JSON."""
        config = self.config
        return {
            "model": model_identity(config.model),
            "revision": config.revision,
            "random_init": config.seed if config.random_init else None,
            "weight_hash": self.model.weight_hash,
            "tokenizer_hash": self.dataset.description.tokenizer_hash,
            "dataset": self.dataset.name,
            "dataset_hash": self.dataset.description.content_hash,
            "dtype": config.dtype,
            "quantization": config.quantization,
            "device": config.device_map or config.device.split(":")[0],
            "hook_point": hook_point,
            "layers": list(self.layers),
        }

    def share(self, n_parts: int) -> range:
        """Return those of the parts 0 to n_parts - 1 that this process does."""
        return range(self.config.rank, n_parts, self.config.world_size)


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
    if config.activation_aggregation != "none":
        raise SettingsError(f"{config.experiment_type} looks at single tokens: --activation_aggregation none.")
    dataset, model = load_inputs(config, weights=not config.dry_run)
    layers = model.check_layers(config.layers)
    hook_points = dict.fromkeys((config.probe_location, *config.further_locations))
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
