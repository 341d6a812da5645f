"""Settings of both stages, declared once: frozen dataclasses that are also the command lines."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.settings import read_settings
from probing_datasets.model_names import model_slug

HarvestType = Literal["activation_probe_dataset"]
StudyName = Literal["enumerate_monosemantic", "heuristic_sparsity_sweep", "dense_probe"]
RankingName = Literal["mean_dif", "f_stat", "auc", "random"]
ControlName = Literal["shuffled_labels"]
Cluster = Literal["debug", "local"]
Precision = Literal["16", "32", "bf16"]
ModelDtype = Literal["float32", "float16", "bfloat16"]


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
    seed: int = 0
    results_dir: Path = field(default_factory=lambda: read_settings().results_dir)
    """RESULTS_DIR"""
    feature_dataset_dir: Path = field(default_factory=lambda: read_settings().feature_dataset_dir)
    """FEATURE_DATASET_DIR"""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        if self.seed < 0:
            raise SettingsError(f"--seed must be at least 0, not {self.seed}.")

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
    def store_path(self) -> Path:
        """Folder of the activation store."""
        rows = f"{self.probe_location}.{self.activation_aggregation}"
        return self.results_dir / "activations" / self.model_name / self.dataset_name / rows


@dataclass(frozen=True)
class HarvestConfig(StoreConfig):
    """Stage 1: run a model over a feature data set and store its activations."""

    experiment_name: str = "harvest"
    """Free name, recorded beside the store."""
    experiment_type: HarvestType = "activation_probe_dataset"
    layers: tuple[int, ...] = ()
    """Layers to store; none given: all."""
    batch_size: int = 32
    """Sequences of one forward pass."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps"""
    dtype: ModelDtype = "float32"
    """Precision in which the model runs."""
    output_precision: Precision = "16"
    """Precision in which activations are stored."""
    overwrite: bool = False
    """Delete a store of other settings that stands in the same place; one of the same is resumed."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        _at_least_one(self, "batch_size")


@dataclass(frozen=True)
class ProbingConfig(StoreConfig):
    """Stage 2: fit sparse probes to stored activations and rank neurons."""

    experiment_name: str = "default"
    """Folder of the results below RESULTS_DIR/probing."""
    experiment_type: StudyName = "heuristic_sparsity_sweep"
    """The study."""
    layers: tuple[int, ...] = ()
    """Layers to probe; none given: all in the store."""
    feature_subset: tuple[str, ...] = ()
    """Features to probe; none given: all."""
    save_features_together: bool = False
    """One task for all features of a layer, instead of one task for each group of --features_per_task."""
    features_per_task: int = 10
    test_set_frac: float = 0.3
    """Fraction of rows held out for testing, in whole groups."""
    normalize_activations: bool = False
    """Standardise every neuron by its training mean and deviation."""
    heuristic_feature_selection_method: RankingName = "mean_dif"
    """How neurons are ranked before probes are fitted."""
    max_k: int = 256
    """Largest number of neurons in a probe of a sparsity sweep."""
    n_neurons: int = 30
    """Best-ranked neurons that get a probe of their own (enumerate_monosemantic)."""
    regularization: float = 1.0
    """C of the logistic objective: C * weighted loss + |coef|^2 / 2."""
    controls: tuple[ControlName, ...] = ("shuffled_labels",)
    """Controls fitted beside every probe."""
    cluster: Cluster = "local"
    """debug: in this process, with one thread; local: worker processes."""
    workers: int = field(default_factory=lambda: read_settings().n_cpus)
    """Worker processes (local)."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        _at_least_one(self, "max_k", "n_neurons", "features_per_task", "workers")
        if not 0 < self.test_set_frac < 1:
            raise SettingsError(f"--test_set_frac must lie between 0 and 1, not {self.test_set_frac}.")
        if not 0 < self.regularization < math.inf:
            raise SettingsError(f"--regularization must be positive and finite, not {self.regularization}.")
        if not re.fullmatch(r"\w[\w.-]*", self.experiment_name):
            raise SettingsError(f"--experiment_name {self.experiment_name!r} must be letters, digits, dots and dashes.")


def settings_record(config: StoreConfig) -> dict[str, Any]:
    """Return all settings as JSON."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}


def _at_least_one(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise SettingsError(f"--{name} must be at least 1, not {getattr(config, name)}.")
