"""Settings of reading probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.sections import at_least_one

ReadingSolver = Literal["converged", "adam"]


@dataclass(frozen=True)
class ReadingConfig:
    """Reading probes: one-vs-rest probes of every layer (reading_probes)."""

    solver: ReadingSolver = "converged"
    """converged: the optimum for every C of a grid, on standardised activations; adam: epochs of batches on activations
    as they are stored, as reading probes are usually trained."""
    validation_set_frac: float = 0.25
    """Share of the training rows, in whole groups, on which C or the epoch, the temperature and the layer are
    chosen."""
    class_order: tuple[str, ...] = ()
    """Names of all classes in their order, such as very_happy happy neutral sad very_sad: adds the mean error in steps
    and quadratic kappa."""
    epochs: int = 50
    """Epochs of --solver adam; every tenth is validated."""
    early_stopping: int = 0
    """Validations of --solver adam without a better accuracy, after which training ends; 0: never."""
    combined_layers: int = 3
    """The layers with the lowest validation loss that a further probe reads together, averaged and concatenated; below
    2: none."""
    test_feature_dataset: tuple[str, ...] = ()
    """Other data sets, with stores of the same model, hook point and aggregation, on which the probes are scored."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "epochs")
        if not 0 < self.validation_set_frac < 1:
            raise SettingsError(f"--validation_set_frac must be between 0 and 1, not {self.validation_set_frac}.")
        if self.early_stopping < 0:
            raise SettingsError(f"--early_stopping must be at least 0, not {self.early_stopping}.")
        if len(set(self.class_order)) < len(self.class_order):
            raise SettingsError("Name each class of --class_order once.")
        if len(set(self.test_feature_dataset)) < len(self.test_feature_dataset):
            raise SettingsError("Name each data set of --test_feature_dataset once.")
