"""Which activations: model, feature data set, hook point and rows. Both stages share this section."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError


@dataclass(frozen=True)
class ActivationsConfig:
    """Which activations: the settings that identify an activation store."""

    model: str = "demo"
    """`demo`, a local model folder, a TransformerLens alias (`pythia-70m`) or a hub id."""
    revision: str | None = None
    """Revision of a model on the hub."""
    random_init: bool = False
    """Use the model's architecture with random weights, drawn from --seed, as a control."""
    feature_dataset: str = "natural_lang_id.demo.256.-1"
    """Name or path of a feature data set."""
    probe_location: str = "mlp.hook_post"
    """Hook point inside a block, as TransformerLens names it."""
    activation_aggregation: Aggregation = "none"
    """One row per probed token (none), or per sequence: mean, max (the largest value of each neuron, which loses the
    negative end of a signed one) or last over its tokens."""
    probe_next_token_feature: bool = False
    """Take the activation at the position before the labelled token: what the model knows about the next token."""
    seed: int = 0
    """Seed of every random choice: splits, controls, random weights."""
    results_dir: Path = field(default_factory=lambda: read_settings().results_dir)
    """RESULTS_DIR: folder of activation stores and results."""
    feature_dataset_dir: Path = field(default_factory=lambda: read_settings().feature_dataset_dir)
    """FEATURE_DATASET_DIR: folder of feature data sets."""
    activations_dir: str | None = None
    """Folder or URL of activation stores, such as s3://bucket/activations. Default: RESULTS_DIR/activations."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        if self.seed < 0:
            raise SettingsError(f"--seed must be at least 0, not {self.seed}.")
        if self.probe_next_token_feature and self.activation_aggregation != "none":
            raise SettingsError("--probe_next_token_feature needs one row per token: --activation_aggregation none.")
