"""The training, validation and test rows of a feature, scaled by the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig, ScalingName
from sparse_probing.probes.inputs.scaling import Standardiser
from sparse_probing.probes.inputs.validation import Integers, check_activations
from sparse_probing.probes.splits.grouped_split import grouped_multiclass_split
from sparse_probing.studies.base.feature_data import FeatureData


def default_scaling(config: ProbingConfig) -> ScalingName:
    """Return how neurons are scaled: standardised, and not at all for Adam, as training scripts do."""
    return "none" if config.reading.solver == "adam" else "unit"


@dataclass(frozen=True)
class Part:
    """Training, validation or test rows."""

    x: NDArray
    """(n, width) scaled as the probes are fitted."""
    codes: Integers
    """(n,) classes from 0 to K - 1; of a binary feature 1 for positive rows."""
    group: Integers
    """(n,)"""


@dataclass(frozen=True)
class ReadingData:
    """The three parts of a feature at one layer."""

    train: Part
    validation: Part
    test: Part
    scale: Standardiser | None
    numbers: NDArray
    """(K,) numbers of the classes; of a binary feature -1 and +1."""
    order: Integers | None
    """(K,) places of the classes in ``--class_order``."""
    is_binary: bool

    def targets(self, part: Part) -> NDArray[np.bool_]:
        """Return which rows of a part have which class: (n, K), of a binary feature (n, 1)."""
        return part.codes[:, None] == (np.array([1]) if self.is_binary else np.arange(len(self.numbers)))


def divide(config: ProbingConfig, data: FeatureData) -> ReadingData:
    """Divide the training rows into training and validation groups, and scale neurons by the former.

    Raises
    ------
    SplitError
        If the groups do not allow validation rows of every class.
    ProbeError
        If an activation is not finite.
    SettingsError
        If ``--class_order`` does not name the classes.
    """
    numbers, codes = np.unique(data.train.label, return_inverse=True)
    split = grouped_multiclass_split(
        data.train.label,
        data.train.group,
        config.reading.validation_set_frac,
        config.activations.seed,
        data.classes,
    )
    raw = check_activations(data.layer[data.train.row])
    scale = Standardiser.of(raw[split.train], data.scaling)

    def part(x: NDArray, of_rows: Integers, group: Integers) -> Part:
        scaled = x.astype(np.float32) if scale is None else scale.apply(x)
        return Part(np.ascontiguousarray(scaled), of_rows, group)

    train, validation = (part(raw[rows], codes[rows], data.train.group[rows]) for rows in (split.train, split.test))
    test_codes = np.searchsorted(numbers, data.test.label)
    test = part(data.layer[data.test.row], test_codes, data.test.group)
    names = [data.classes[int(number)] for number in numbers] if data.classes else [f"{n:g}" for n in numbers]
    order = None
    if config.reading.class_order:
        check_class_order(config, data.feature, names)
        order = np.array([config.reading.class_order.index(name) for name in names])
    return ReadingData(train, validation, test, scale, numbers, order, data.kind == "binary")


def check_class_order(config: ProbingConfig, feature: str, names: Sequence[str]) -> None:
    """Raise SettingsError where ``--class_order`` is set and does not name the classes of a feature."""
    order = config.reading.class_order
    if order and sorted(order) != sorted(names):
        raise SettingsError(
            f"--class_order is {', '.join(order)}, and the classes of {feature} are {', '.join(names)}. Name each of "
            "them once, in their order, or choose other features with --feature_subset."
        )
