"""Settings of stage 1."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.settings import read_settings
from sparse_probing.config.store import StoreConfig, at_least_one

HarvestType = Literal["activation_probe_dataset", "all_activations", "full_activation_histogram", "activation_subset"]
Precision = Literal["8", "16", "32", "bf16"]
ModelDtype = Literal["float32", "float16", "bfloat16"]
StoreKind = Literal["zarr", "hdf5"]

STORES: tuple[HarvestType, ...] = ("activation_probe_dataset", "all_activations")
HISTOGRAM: tuple[HarvestType, ...] = ("full_activation_histogram",)
SUBSET: tuple[HarvestType, ...] = ("activation_subset",)

TYPES_OF_FLAGS: dict[str, tuple[HarvestType, ...]] = {
    "store": STORES,
    "output_precision": STORES,
    "activations_dir": STORES,
    "probe_next_token_feature": ("activation_probe_dataset",),
    "positions": ("all_activations", "activation_subset"),
    "flatten_and_ignore_padding": ("all_activations",),
    **dict.fromkeys(("top_k", "n_bin", "hist_min", "hist_max", "histogram_by_class"), HISTOGRAM),
    **dict.fromkeys(("neuron_subset", "neuron_subset_file", "auto_restrict_neuron_subset_file"), SUBSET),
    **dict.fromkeys(("skip_computing_token_summary_df", "save_by_neuron"), SUBSET),
}
"""The experiment types that a flag is for, where it is not for all; others take no value but its default."""

ARRAYS = "A Slurm array with gaps, such as --array=1,5,7, needs --rank and --world_size."


@dataclass(frozen=True)
class HarvestConfig(StoreConfig):
    """Stage 1: run a model over a feature data set and store its activations."""

    experiment_name: str = "harvest"
    """Free name, recorded beside the results."""
    experiment_type: HarvestType = "activation_probe_dataset"
    """What is kept: rows of the features; all tokens; statistics of every neuron; chosen neurons."""
    further_locations: tuple[str, ...] = ()
    """Further hook points harvested in the same pass, each into a store of its own."""
    layers: tuple[int, ...] = ()
    """Layers to harvest; none given: all."""
    batch_size: int = 32
    """Sequences of one forward pass."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps"""
    device_map: str | None = None
    """Spread the model over devices (auto, balanced, ...) with accelerate; --device is then not used."""
    quantization: Literal["8bit", "4bit"] | None = None
    """Load the weights quantised by bitsandbytes."""
    dtype: ModelDtype = "float32"
    """Precision in which the model runs."""
    n_threads: int = field(default_factory=lambda: read_settings().n_cpus)
    """PyTorch threads."""
    store: StoreKind = "zarr"
    """Format of the activation store."""
    output_precision: Precision = "16"
    """Precision in which activations are stored; 8: one byte, scaled per neuron and block of rows."""
    resume: bool = False
    """Read the finished parts of a store that stands, and write damaged ones again. Open parts always are."""
    overwrite: bool = False
    """Delete a store of other settings that stands in the same place; one of the same is gone on with."""
    rank: int = field(default_factory=lambda: read_settings().array_rank)
    """Share of the parts this process does, from 0. Default: from SLURM_ARRAY_TASK_ID."""
    world_size: int = field(default_factory=lambda: read_settings().array_size)
    """Processes that share the parts. Default: from SLURM_ARRAY_TASK_COUNT, otherwise 1."""
    dry_run: bool = False
    """Print what would be stored, and where, without loading weights or writing anything."""
    positions: tuple[int, ...] = ()
    """Positions to keep (all_activations); none given: all. Negative ones count from the end of the context."""
    flatten_and_ignore_padding: bool = False
    """Leave padding out (all_activations), instead of one row per sequence and position."""
    top_k: int = 10
    """Examples with the largest activations kept per neuron (full_activation_histogram)."""
    n_bin: int = 100
    """Bins of a histogram, besides those for values below and above it (full_activation_histogram)."""
    hist_min: float = -1.0
    """Lower edge of the first bin."""
    hist_max: float = 8.0
    """Upper edge of the last bin."""
    histogram_by_class: bool = False
    """Also count the probed tokens of every feature by their label (full_activation_histogram)."""
    neuron_subset: tuple[str, ...] = ()
    """Neurons as LAYER,NEURON (activation_subset), for example 2,317 3,15."""
    neuron_subset_file: Path | None = None
    """CSV of ranked neurons with columns `layer` and `neuron` (activation_subset)."""
    auto_restrict_neuron_subset_file: bool = False
    """Take only rows of that file whose model, data set and hook point are those of this harvest."""
    skip_computing_token_summary_df: bool = False
    """Do not summarise the chosen neurons by token (activation_subset)."""
    save_by_neuron: bool = False
    """Also write one file per chosen neuron (activation_subset)."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        at_least_one(self, "batch_size", "n_threads", "world_size", "top_k", "n_bin")
        if not 0 <= self.rank < self.world_size:
            raise SettingsError(f"--rank must lie from 0 to {self.world_size - 1}, not {self.rank}. {ARRAYS}")
        if self.overwrite and self.world_size > 1:
            raise SettingsError("--overwrite would delete what other processes write. Delete the store first.")
        if not self.hist_min < self.hist_max:
            raise SettingsError(f"--hist_min {self.hist_min} must be below --hist_max {self.hist_max}.")
        self._check_flags()

    def _check_flags(self) -> None:
        """Refuse flags that would do nothing."""
        defaults = {setting.name: setting.default for setting in fields(self)}
        for name, types in TYPES_OF_FLAGS.items():
            if self.experiment_type not in types and getattr(self, name) != defaults[name]:
                named = f"{' or '.join(types)} (not {self.experiment_type})"
                raise SettingsError(f"--{name} goes with --experiment_type {named}.")
        if (self.positions or self.flatten_and_ignore_padding) and self.activation_aggregation != "none":
            raise SettingsError("--positions and --flatten_and_ignore_padding need --activation_aggregation none.")
        if self.auto_restrict_neuron_subset_file and self.neuron_subset_file is None:
            raise SettingsError("--auto_restrict_neuron_subset_file needs a file: --neuron_subset_file.")

    @property
    def _rows_name(self) -> str:
        return super()._rows_name + ".all" * (self.experiment_type == "all_activations")
