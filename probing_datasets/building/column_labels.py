"""Labels of features from the values of a column: two classes, several classes, lists of labels, or numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import DatasetError, list_known

LabelKind = Literal["auto", "binary", "multiclass", "regression"]

TRUTH_VALUES = (("1", "0"), ("true", "false"), ("yes", "no"))
"""Positive and negative values that do not appear in the name of the feature."""

MAX_CLASSES = 20
"""More different numbers than this are a quantity, not names of classes."""


@dataclass(frozen=True)
class LabelledColumn:
    """A feature made of a column of a table."""

    name: str
    kind: FeatureKind
    values: np.ndarray
    """(n,) bool when binary, int64 class numbers when multiclass, float64 in regression."""
    known: np.ndarray
    """(n,) bool: whether the table has a label for the row."""
    classes: tuple[str, ...] = ()
    """Value of each class when multiclass."""


def label_column(name: str, cells: Sequence[Any], kind: LabelKind = "auto", positive: str = "") -> list[LabelledColumn]:
    """Return the features of a column.

    Parameters
    ----------
    name : str
        Name of the feature. It becomes ``<name>: <value>`` if the positive value is not yes, true or 1,
        and for each label of a column of lists, whose feature is whether the list has the label.
    cells : sequence
        Texts, numbers, truth values or lists of them, one per row; None, NaN and empty texts are unknown.
    kind : {'auto', 'binary', 'multiclass', 'regression'}
        ``auto``: two values are two classes, more than `MAX_CLASSES` numbers are a quantity, and
        everything else is several classes.
    positive : str
        Value that counts as positive, against all others; by default the second of two values, in
        the order of numbers or letters (0 < 1, False < True, negative < positive).

    Raises
    ------
    DatasetError
        When the values do not fit the kind; the message names one of them.
    """
    if any(isinstance(cell, list) for cell in cells):
        return _one_feature_per_label(name, cells)
    texts = np.array([text_of(cell) for cell in cells], dtype=str)
    known = texts != ""
    distinct_texts: list[str] = np.unique(texts[known]).tolist()
    not_numbers = [text for text in texts[known].tolist() if not _is_number(text)]
    is_quantity = len(distinct_texts) > MAX_CLASSES and not not_numbers
    if kind == "regression" or (kind == "auto" and not positive and is_quantity):
        if not_numbers:
            raise DatasetError(
                f"The labels of {name!r} are not all numbers: {not_numbers[0]!r}. Use --label_kind multiclass."
            )
        return [LabelledColumn(name, "regression", np.array([float(text or 0) for text in texts]), known)]
    classes = in_order(distinct_texts)
    if positive and positive not in classes:
        has = list_known(positive, classes)
        raise DatasetError(f"No row of {name!r} has the --positive_label {positive!r}; it has: {has}.")
    if len(classes) < 2 or (kind == "binary" and len(classes) > 2 and not positive):
        raise DatasetError(
            f"The labels of {name!r} have {len(classes)} values ({', '.join(classes[:5]) or 'none'}), which do not "
            "make two classes. Check --label_column, or pass --positive_label or --label_kind."
        )
    if positive or (len(classes) == 2 and kind != "multiclass"):
        positive = positive or classes[1]
        lower_case = (positive.lower(), *(value.lower() for value in classes if value != positive))
        feature = name if lower_case in TRUTH_VALUES else f"{name}: {positive}"
        return [LabelledColumn(feature, "binary", texts == positive, known)]
    numbers = {value: number for number, value in enumerate(classes)}
    codes = np.array([numbers.get(text, 0) for text in texts], dtype=np.int64)
    return [LabelledColumn(name, "multiclass", codes, known, tuple(classes))]


def text_of(cell: Any) -> str:
    """Return a value as text: whole numbers without a point, an empty text for an unknown value."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def in_order(values: Sequence[str]) -> list[str]:
    """Return values sorted as numbers if all are numbers, and alphabetically otherwise."""
    return sorted(values, key=float if all(map(_is_number, values)) else None)


def _one_feature_per_label(name: str, cells: Sequence[Any]) -> list[LabelledColumn]:
    """Return a binary feature for each label: whether the list of a row has it. A row without a list is unknown."""
    known = np.array([isinstance(cell, list) for cell in cells])
    sets = [{text_of(label) for label in cell} if isinstance(cell, list) else set() for cell in cells]
    labels = in_order(sorted(set.union(*sets) - {""}))
    return [
        LabelledColumn(f"{name}: {label}", "binary", np.array([label in s for s in sets]), known) for label in labels
    ]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
