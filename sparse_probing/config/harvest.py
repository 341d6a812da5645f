"""Settings of stage 1."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Literal

from upath import UPath

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.setting_values import check_whole_numbers
from sparse_probing.config.activations import ActivationsConfig, shorten_hook_names
from sparse_probing.config.result_folders import store_folder
from sparse_probing.config.sections import Configuration, at_least_one, setting
from sparse_probing.config.share import ShareConfig

HarvestType = Literal[
    "activation_probe_dataset", "all_activations", "full_activation_histogram", "activation_subset", "neuron_subset"
]
Precision = Literal["8", "16", "32", "bf16"]
ModelDtype = Literal["float32", "float16", "bfloat16"]
StoreKind = Literal["zarr", "hdf5"]

STORES: tuple[HarvestType, ...] = ("activation_probe_dataset", "all_activations")
HISTOGRAM: tuple[HarvestType, ...] = ("full_activation_histogram",)
SUBSET: tuple[HarvestType, ...] = ("activation_subset", "neuron_subset")

MOST_BINS = 2**16

EXPERIMENT_TYPES_OF_SETTINGS: dict[str, tuple[HarvestType, ...]] = {
    "store": STORES,
    "activations_dir": STORES,
    "probe_next_token_feature": ("activation_probe_dataset",),
    "positions": ("all_activations", *SUBSET),
    "flatten_and_ignore_padding": ("all_activations",),
    **dict.fromkeys(("top_k", "n_bin", "hist_min", "hist_max", "histogram_by_class"), HISTOGRAM),
    **dict.fromkeys(("neuron_subset", "neuron_subset_file", "auto_restrict_neuron_subset_file"), SUBSET),
    **dict.fromkeys(("skip_computing_token_summary_df", "save_by_neuron"), SUBSET),
}
"""The experiment types of settings that not all types have; with the other types a setting must have its default."""


@dataclass(frozen=True)
class ForwardPassConfig:
    """How the model runs."""

    batch_size: int = 32
    """Sequences of one forward pass."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; auto: cuda where the process that runs the model has it, otherwise cpu."""
    device_map: str | None = None
    """Spread the model over devices (auto, balanced, ...) with accelerate; --device is then not used."""
    quantization: Literal["8bit", "4bit"] | None = None
    """Load the weights quantised by bitsandbytes."""
    trust_remote_code: bool = False
    """Run Python code that the folder of the model holds."""
    dtype: ModelDtype = "float32"
    """Precision in which the model runs."""
    n_threads: int = field(default_factory=lambda: read_settings().n_cpus)
    """PyTorch threads."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "batch_size", "n_threads")


@dataclass(frozen=True)
class StorageConfig:
    """How activations are stored, and what happens to existing results."""

    store: StoreKind = "zarr"
    """Format of the activation store."""
    output_precision: Precision = "16"
    """Precision in which activations are stored; 8: one byte, scaled per neuron and block of rows. Tables of chosen
    neurons and statistics are always float32."""
    resume: bool = False
    """Compare the finished parts of an existing store with their checksums, and write damaged ones again. Missing
    parts are always written."""
    overwrite: bool = False
    """Delete an existing store that was made with different settings. A store with the same settings is resumed."""


@dataclass(frozen=True)
class TokensConfig:
    """Which tokens are stored, in experiment types that do not follow the features."""

    positions: tuple[int, ...] = ()
    """Positions to store (all_activations, activation_subset, neuron_subset); none given: all. Negative ones count from
    the end of the context."""
    flatten_and_ignore_padding: bool = False
    """Store no rows of padding (all_activations), instead of one row per sequence and position."""


@dataclass(frozen=True)
class HistogramConfig:
    """Statistics of every neuron (full_activation_histogram)."""

    top_k: int = 10
    """Examples that are stored per neuron at each end: with the largest and with the smallest activations."""
    n_bin: int = 100
    """Bins of a histogram, besides those for values below and above it."""
    hist_min: float | None = None
    """Lower edge of the first bin of every neuron (the paper's command takes -10). Default: below the
    activations of the neuron on a sample of sequences."""
    hist_max: float | None = None
    """Upper edge of the last bin of every neuron (the paper's command takes 10). Default: above those of the
    sample."""
    histogram_by_class: bool = False
    """Also count the probed tokens of every feature by their label."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "top_k", "n_bin")
        if self.n_bin > MOST_BINS:
            raise SettingsError(f"--n_bin {self.n_bin} is too large: at most {MOST_BINS} bins of every neuron.")
        if (self.hist_min is None) != (self.hist_max is None):
            raise SettingsError("--hist_min and --hist_max are set together, or neither: the data then decide.")
        if self.hist_min is not None and self.hist_max is not None and not self.hist_min < self.hist_max:
            raise SettingsError(f"--hist_min {self.hist_min} must be below --hist_max {self.hist_max}.")


@dataclass(frozen=True)
class NeuronSubsetConfig:
    """Chosen neurons (activation_subset, neuron_subset)."""

    neuron_subset: tuple[str, ...] = ()
    """Neurons as LAYER,NEURON, for example 2,317 3,15."""
    neuron_subset_file: Path | None = None
    """CSV of ranked neurons with columns `layer` and `neuron`: a path, or a name in the folder of the model below
    INTERPRETABLE_NEURONS_DIR."""
    auto_restrict_neuron_subset_file: bool = False
    """Take only rows of that file with the model, data set and hook point of this harvest (activation_subset: with its
    collection, as in the paper's code)."""
    skip_computing_token_summary_df: bool = False
    """Do not summarise the chosen neurons by token."""
    save_by_neuron: bool = False
    """Also write one file per chosen neuron."""

    def __post_init__(self) -> None:
        """Raise SettingsError for a setting that needs another one."""
        if self.auto_restrict_neuron_subset_file and self.neuron_subset_file is None:
            raise SettingsError("--auto_restrict_neuron_subset_file needs a file: --neuron_subset_file.")


@dataclass(frozen=True)
class HarvestConfig(Configuration):
    """Stage 1: run a model over a feature data set and store its activations."""

    experiment_name: str = "harvest"
    """Free name, recorded beside the results."""
    experiment_type: HarvestType = "activation_probe_dataset"
    """What is stored: rows of the features; all tokens; statistics of every neuron; chosen neurons, before the
    activation function as in the paper's code (activation_subset) or at --probe_location (neuron_subset)."""
    layers: tuple[int, ...] = ()
    """Layers to harvest; none given: all."""
    further_locations: tuple[str, ...] = ()
    """Further hook points that are harvested in the same pass, each into its own store."""
    dry_run: bool = False
    """Print what would be stored, and where, without loading weights or writing anything."""
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    forward_pass: ForwardPassConfig = field(default_factory=ForwardPassConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    share: ShareConfig = field(default_factory=ShareConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    histogram: HistogramConfig = field(default_factory=HistogramConfig)
    subset: NeuronSubsetConfig = field(default_factory=NeuronSubsetConfig)

    def __post_init__(self) -> None:
        """Raise SettingsError for settings that contradict one another or have no effect."""
        check_whole_numbers(self.flags())
        shorten_hook_names(self)
        if self.storage.overwrite and self.share.world_size > 1:
            raise SettingsError("--overwrite would delete what other processes write. Delete the store first.")
        flags = self.flags()
        for name, types in EXPERIMENT_TYPES_OF_SETTINGS.items():
            default = setting(HarvestConfig, name).default
            if self.experiment_type not in types and default is not MISSING and flags[name] != default:
                raise SettingsError(
                    f"--{name} is for --experiment_type {' or '.join(types)}, not for {self.experiment_type}."
                )
        every_token = self.tokens.positions or self.tokens.flatten_and_ignore_padding
        if every_token and self.activations.activation_aggregation != "none":
            raise SettingsError("--positions and --flatten_and_ignore_padding need --activation_aggregation none.")

    def store_folder(self, hook_point: str | None = None) -> Path | UPath:
        """Return the folder of the store of a hook point; by default that of ``probe_location``."""
        return store_folder(self.activations, hook_point, every_token=self.experiment_type == "all_activations")
