"""Settings of probes that are trained while a model runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.setting_values import check_whole_numbers
from sparse_probing.config.activations import ActivationsConfig
from sparse_probing.config.harvest import ForwardPassConfig
from sparse_probing.config.optimal import OptimalConfig
from sparse_probing.config.probing import (
    FitConfig,
    ProbingConfig,
    SearchConfig,
    SplitConfig,
    StatisticsConfig,
    StudyName,
)
from sparse_probing.config.sections import FOLDERS, Configuration, at_least_one, section_of, setting
from sparse_probing.config.share import ShareConfig

PoolingName = Literal["mean", "last", "max", "none", "attention"]
LearnerName = Literal["rows", "moments", "adamw"]

STUDY_SECTIONS = ("split", "fit", "search", "statistics", "optimal")
"""Sections with the settings of the studies that fit rows."""
OF_EVERY_LEARNER = ("test_set_frac", "scaling", "normalize_activations", "controls", "confidence")
"""Settings of these sections that the other learners use too."""
OF_STREAMS = ("validation_frac", "warmup_steps", "threshold")
"""Settings that the learner rows does not use."""

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class OnlineConfig(Configuration):
    """Train probes while a model runs over a feature data set: no activations are stored."""

    experiment_name: str = "online"
    """Folder of the results below RESULTS_DIR/online_probes."""
    experiment_type: Literal["online_probes"] = "online_probes"
    """The other experiment types store activations."""
    further_datasets: tuple[str, ...] = ()
    """Further feature data sets, made with the same tokenizer, whose texts are read in the same pass."""
    further_locations: tuple[str, ...] = ()
    """Further hook points, or names of modules of the Hugging Face model (transformer.h.5.mlp), beside
    --probe_location. A full name, such as blocks.5.hook_resid_post, is of one layer; others are of all of --layers."""
    layers: tuple[int, ...] = ()
    """Layers to probe; none given: all."""
    pooling: tuple[PoolingName, ...] = ("mean",)
    """What one row is: the mean, last or largest activation of each sequence; none: each probed token; attention: the
    mean of each sequence by token weights that every probe learns (adamw). Every place has probes for every pooling."""
    learner: LearnerName = "rows"
    """rows: keep the rows of every place in float16, and fit the studies of stage 2 to them at the end: the exact
    optimum. moments: sums of products; exact for squared loss. adamw: steps on every batch, for what does not fit into
    memory."""
    epochs: int = 1
    """Passes over the texts (moments and rows need one)."""
    validation_frac: float = 0.1
    """Share of the rows, in whole groups, that choose the ridge and end training (moments, adamw)."""
    patience: int | None = None
    """Checks without a better validation loss, after which a probe stops; 0: never. Default: 5 for adamw, 0 for the
    others."""
    warmup_steps: int = 10
    """Batches before the first check."""
    threshold: float = 1e-3
    """Relative improvement of the validation loss that counts as better."""
    memory: str = "2GB"
    """Largest memory of the rows that are kept, such as 500MB; more is refused before the model runs."""
    then: tuple[StudyName, ...] = ()
    """Further studies of stage 2, fitted to the same rows (--learner rows)."""
    feature_subset: tuple[str, ...] = ()
    """Features to probe; none given: all."""
    dry_run: bool = False
    """Print the places, the rows and the memory that they need, without loading weights or writing anything."""
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    forward_pass: ForwardPassConfig = field(default_factory=ForwardPassConfig)
    share: ShareConfig = field(default_factory=ShareConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    optimal: OptimalConfig = field(default_factory=OptimalConfig)

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range, and for settings that contradict one another."""
        check_whole_numbers(self.flags())
        at_least_one(self, "epochs")
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", self.experiment_name):
            raise SettingsError(
                f"--experiment_name {self.experiment_name!r} must be letters, digits, dots and dashes; a / divides "
                "folders, each of which begins with a letter or digit."
            )
        for name in ("pooling", "then", "further_locations", "further_datasets"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise SettingsError(f"Name each of --{name} once.")
        if not self.pooling:
            raise SettingsError("Name at least one --pooling.")
        if self.activations.activation_aggregation != "none":
            raise SettingsError(
                "--activation_aggregation is for stores. Probes that are trained while the model runs take --pooling."
            )
        if self.activations.activations_dir is not None:
            raise SettingsError("--activations_dir is for stores, and no activations are stored. Leave it out.")
        if self.activations.probe_next_token_feature and self.pooling != ("none",):
            raise SettingsError("--probe_next_token_feature needs one row per token: --pooling none.")
        if not 0 < self.validation_frac < 1:
            raise SettingsError(f"--validation_frac must be between 0 and 1, not {self.validation_frac}.")
        if (self.patience or 0) < 0 or self.warmup_steps < 0 or not 0 <= self.threshold < 1:
            raise SettingsError("--patience and --warmup_steps must be at least 0, and --threshold from 0 to 1.")
        self._check_learner()
        _ = self.memory_bytes

    def _check_learner(self) -> None:
        if self.learner != "adamw" and self.epochs > 1:
            raise SettingsError(f"--learner {self.learner} sees every row in one pass. --epochs is for adamw.")
        if self.learner == "rows" and self.patience:
            raise SettingsError(
                "--learner rows reads all texts and then fits exactly, so nothing is stopped early. Leave --patience "
                "out, or use --learner moments or adamw."
            )
        if self.learner != "rows" and self.then:
            raise SettingsError(f"--then fits studies to rows, and --learner {self.learner} keeps none.")
        if self.learner != "adamw" and "attention" in self.pooling:
            raise SettingsError(
                f"--learner {self.learner} fits to pooled rows, and --pooling attention learns the weights of tokens. "
                "Use --learner adamw, which takes the other poolings too."
            )
        if self.learner == "adamw" and self.share.world_size > 1:
            raise SettingsError("--learner adamw runs in one process; several share texts with rows or moments.")
        if self.patience and self.share.world_size > 1:
            raise SettingsError(
                "Several processes add their sums at the end, so that nothing can be stopped early. Leave --patience "
                "out, or use one process."
            )
        of_rows = {name for name, section in section_of(OnlineConfig).items() if section in STUDY_SECTIONS}
        others, unused = "moments and adamw", set(OF_STREAMS)
        if self.learner != "rows":
            others, unused = "rows", of_rows - set(OF_EVERY_LEARNER)
        flags = self.flags()
        given = [f"--{name}" for name in sorted(unused) if flags[name] != setting(OnlineConfig, name).default]
        if given:
            raise SettingsError(
                f"--learner {self.learner} does not use {', '.join(given)}: only {others} do. Leave it out."
            )
        if self.learner != "rows" and set(self.statistics.controls) - {"shuffled_labels"}:
            raise SettingsError(f"--learner {self.learner} has the control shuffled_labels only; rows has all of them.")
        if "random_init" in self.statistics.controls:
            raise SettingsError(
                "The control random_init needs a second model. Run the same command with --random_init instead."
            )

    @property
    def effective_patience(self) -> int:
        """The value of ``patience``, with its default for the learner."""
        return (5 if self.learner == "adamw" else 0) if self.patience is None else self.patience

    @property
    def memory_bytes(self) -> int:
        """The value of ``memory`` in bytes.

        Examples
        --------
        >>> OnlineConfig(memory="1.5GB").memory_bytes
        1500000000
        """
        size = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", self.memory.upper())
        unit = size[2].rstrip("B") if size else ""
        if size is None or not float(size[1]):
            raise SettingsError(f"--memory {self.memory!r} is not a size, such as 500MB or 2GB.")
        return int(float(size[1]) * UNITS[f"{unit}B" if unit else ""])

    def probing(self, location: str, layer: int, pooling: PoolingName, studies: tuple[StudyName, ...]) -> ProbingConfig:
        """Return the settings of stage 2 that fit these studies to a store of the rows of one place."""
        shared = section_of(ProbingConfig).keys() & section_of(OnlineConfig).keys() - {"experiment_type", "dry_run"}
        flags: dict[str, Any] = {name: value for name, value in self.flags().items() if name in shared}
        place = {"probe_location": location, "layers": (layer,), "activation_aggregation": pooling}
        return ProbingConfig.from_flags(**{**flags, **place, "experiment_type": studies})


DECIDE_NO_RESULT = (
    *FOLDERS,
    "dry_run",
    "experiment_name",
    "memory",
    "n_threads",
    *(field.name for field in fields(ShareConfig)),
)
"""Settings that no number of a run depends on."""


def changed_settings(config: OnlineConfig) -> dict[str, Any]:
    """Return the settings that decide the results and do not have their default values, as JSON values."""
    decide = {name: value for name, value in config.record().items() if name not in DECIDE_NO_RESULT}
    changed = {name: value for name, value in decide.items() if value != setting(OnlineConfig, name).default}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}
