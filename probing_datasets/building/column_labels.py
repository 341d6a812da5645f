"""From the values of a column to the labels of features: two classes, several, several at once, or numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import DatasetError

LabelKind = Literal["auto", "binary", "multiclass", "regression"]

TRUTH_VALUES = (("1", "0"), ("true", "false"), ("yes", "no"))
"""Positive and negative values that need no name."""

MAX_CLASSES = 20
"""More different numbers than these are taken for a quantity, and not for names of classes."""


@dataclass(frozen=True)
class LabelledColumn:
    """A feature made of a column of a table."""

    name: str
    kind: FeatureKind
    values: np.ndarray
    """(n,) bool when binary, int64 class numbers when multiclass, float64 in regression."""
    known: np.ndarray
    """(n,) bool: whether the table says anything of the row."""
    classes: tuple[str, ...] = ()
    """Value of each class when multiclass."""


def label_column(name: str, cells: Sequence[Any], kind: LabelKind = "auto", positive: str = "") -> list[LabelledColumn]:
    """Return the features of a column.

    Parameters
    ----------
    name : str
        Name of the feature. ``<name>: <value>`` where a value other than yes, true or 1 is the positive
        one, and of the features of lists of labels: whether the list has the label.
    cells : sequence
        Texts, numbers, truth values or lists of them, one per row; None, NaN and empty texts are unknown.
    kind : {'auto', 'binary', 'multiclass', 'regression'}
        ``auto`` takes two values for two classes, more than `MAX_CLASSES` numbers for a quantity,
        and everything else for classes.
    positive : str
        Value that counts as positive, against all others; by default the second of two values, in
        the order of numbers or letters (0 < 1, False < True, negative < positive).

    Raises
    ------
    DatasetError
        When the values do not fit the kind; the message names one of them.
    """
    if any(isinstance(cell, list) for cell in cells):
        return _one_per_label(name, cells)
    texts = np.array([text_of(cell) for cell in cells], dtype=str)
    known = texts != ""
    if kind == "regression" or (kind == "auto" and not positive and _is_quantity(texts[known])):
        return [LabelledColumn(name, "regression", _numbers(name, texts), known)]
    classes = in_order(np.unique(texts[known]).tolist())
    if positive and positive not in classes:
        raise DatasetError(f"No row of {name!r} has the --positive_label {positive!r}; it has: {', '.join(classes)}.")
    if len(classes) < 2 or (kind == "binary" and len(classes) > 2 and not positive):
        raise DatasetError(
            f"The labels of {name!r} have {len(classes)} values ({', '.join(classes[:5]) or 'none'}), which gives "
            "nothing to tell apart as two classes. Check --label_column, or give --positive_label or --label_kind."
        )
    if positive or (len(classes) == 2 and kind != "multiclass"):
        positive = positive or classes[1]
        return [LabelledColumn(_binary_name(name, classes, positive), "binary", texts == positive, known)]
    numbers = {value: number for number, value in enumerate(classes)}
    codes = np.array([numbers.get(text, 0) for text in texts], dtype=np.int64)
    return [LabelledColumn(name, "multiclass", codes, known, tuple(classes))]


def text_of(cell: Any) -> str:
    """Return a value as text: whole numbers without a point, and nothing for what is unknown."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def in_order(values: Sequence[str]) -> list[str]:
    """Return values sorted as numbers where all are numbers, and by letters otherwise."""
    return sorted(values, key=float if all(map(_is_number, values)) else None)


def _one_per_label(name: str, cells: Sequence[Any]) -> list[LabelledColumn]:
    """Whether each label is in the list of a row; a row without a list is unknown."""
    known = np.array([isinstance(cell, list) for cell in cells])
    sets = [{text_of(label) for label in cell} if isinstance(cell, list) else set() for cell in cells]
    labels = in_order(sorted(set.union(*sets) - {""}))
    return [
        LabelledColumn(f"{name}: {label}", "binary", np.array([label in s for s in sets]), known) for label in labels
    ]


def _binary_name(name: str, classes: list[str], positive: str) -> str:
    plain = (positive.lower(), *(value.lower() for value in classes if value != positive)) in TRUTH_VALUES
    return name if plain else f"{name}: {positive}"


def _is_quantity(texts: np.ndarray) -> bool:
    distinct = np.unique(texts)
    return len(distinct) > MAX_CLASSES and all(map(_is_number, distinct))


def _numbers(name: str, texts: np.ndarray) -> np.ndarray:
    for text in texts:
        if text and not _is_number(text):
            raise DatasetError(f"The labels of {name!r} are no numbers: {str(text)!r}. Use --label_kind multiclass.")
    return np.array([float(text or 0) for text in texts])


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
