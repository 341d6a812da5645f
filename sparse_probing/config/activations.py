"""Which activations: model, feature data set, hook point and rows. Both stages share this section."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError

FULL_HOOK_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


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
    """Hook point inside a block, as TransformerLens names it; blocks.3.hook_resid_post is hook_resid_post of --layers
    3."""
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


def shorten_hook_names(config: Any) -> None:
    """Replace full names of hook points in a configuration of either stage by the hook point and its layer.

    ``blocks.3.hook_resid_post`` becomes ``hook_resid_post``, and ``layers`` becomes (3,).

    Raises
    ------
    SettingsError
        When the names and ``layers`` do not mean the same layer.
    """
    further: tuple[str, ...] = getattr(config, "further_locations", ())
    full_names = [m for name in (config.activations.probe_location, *further) if (m := FULL_HOOK_NAME.fullmatch(name))]
    if not full_names:
        return
    meant = {*(int(full_name[1]) for full_name in full_names), *config.layers}
    if len(meant) > 1:
        raise SettingsError(
            f"{full_names[0][0]} is of layer {full_names[0][1]}, and the layers {', '.join(map(str, sorted(meant)))} "
            "are requested. Pass the name of the hook point in its block, and --layers."
        )
    short_names = [FULL_HOOK_NAME.sub(r"\2", name) for name in (config.activations.probe_location, *further)]
    object.__setattr__(config, "layers", tuple(meant))
    object.__setattr__(config, "activations", replace(config.activations, probe_location=short_names[0]))
    if further:
        object.__setattr__(config, "further_locations", tuple(short_names[1:]))
