"""What both stages share: the settings that name an activation store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from upath import UPath

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.settings import read_settings
from probing_datasets.model_names import model_slug


@dataclass(frozen=True)
class StoreConfig:
    """What names an activation store; both stages share it."""

    model: str = "demo"
    """`demo`, a local model folder, a TransformerLens alias (`pythia-70m`) or a hub id."""
    revision: str | None = None
    """Revision of a model on the hub."""
    random_init: bool = False
    """Use the model's architecture with random weights (drawn from --seed): the control that matters."""
    feature_dataset: str = "natural_lang_id.demo.256.-1"
    """Name or path of a feature data set."""
    probe_location: str = "mlp.hook_post"
    """Hook point inside a block, as TransformerLens names it."""
    activation_aggregation: Aggregation = "none"
    """One row per probed token (none), or per sequence: mean, max or last over its tokens."""
    probe_next_token_feature: bool = False
    """Take the activation at the position before the labelled token: what the model knows of the next token."""
    seed: int = 0
    results_dir: Path = field(default_factory=lambda: read_settings().results_dir)
    """RESULTS_DIR"""
    feature_dataset_dir: Path = field(default_factory=lambda: read_settings().feature_dataset_dir)
    """FEATURE_DATASET_DIR"""
    activations_dir: str | None = None
    """Where stores lie, a folder or a URL such as s3://bucket/activations. Default RESULTS_DIR/activations."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        if self.seed < 0:
            raise SettingsError(f"--seed must be at least 0, not {self.seed}.")
        if self.probe_next_token_feature and self.activation_aggregation != "none":
            raise SettingsError("--probe_next_token_feature needs one row per token: --activation_aggregation none.")

    @property
    def model_name(self) -> str:
        """Short name of the model with its revision, and of its random weights: ``pythia-70m``, ``demo+random0``."""
        name = model_slug(self.model)
        name += f"@{model_slug(self.revision)}" if self.revision else ""
        return name + (f"+random{self.seed}" if self.random_init else "")

    @property
    def dataset_name(self) -> str:
        """Short name of the feature data set."""
        return Path(self.feature_dataset).name

    @property
    def store_path(self) -> Path | UPath:
        """Folder of the activation store; a UPath when it lies behind a URL."""
        return self.store_path_of(self.probe_location)

    def store_path_of(self, hook_point: str) -> Path | UPath:
        """Folder of the store of another hook point."""
        root = self.results_dir / "activations" if self.activations_dir is None else UPath(self.activations_dir)
        return root / self.model_name / self.dataset_name / f"{hook_point}.{self._rows_name}"

    @property
    def _rows_name(self) -> str:
        """What a row of the store is."""
        return self.activation_aggregation + ".next_token" * self.probe_next_token_feature


def settings_record(config: StoreConfig) -> dict[str, Any]:
    """Return all settings as JSON."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}


def at_least_one(config: object, *names: str) -> None:
    """Raise SettingsError naming the first of the fields that is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} must be at least 1, not {getattr(config, name)}.")
