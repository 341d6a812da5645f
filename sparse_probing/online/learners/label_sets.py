"""Label sets: the features that are learned together at a place, and the probes that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Floats


@dataclass(frozen=True)
class LabelSet:
    """One feature: what its labels mean, and how many scores a probe of it has.

    Labels are -1/+1 (binary), class numbers 0 to K - 1 (multiclass) or real numbers (regression). NaN is the null
    label: a row without a label in this set. Such a row is neither trained on nor scored; 0 is a label like any other.
    """

    name: str
    kind: FeatureKind
    classes: tuple[str, ...] = ()
    """Names of the classes of a multiclass set, class 0 first; empty for the other kinds."""

    def __post_init__(self) -> None:
        """Refuse classes that do not fit the kind.

        Raises
        ------
        ProbeError
        """
        if (len(self.classes) >= 2) != (self.kind == "multiclass") or len(self.classes) == 1:
            raise ProbeError(
                f"Label set {self.name!r} is {self.kind} and names {len(self.classes)} classes. Only a multiclass set "
                "names classes, two or more."
            )

    @property
    def outputs(self) -> int:
        """Scores of a probe: one for binary and regression sets, one for each class of a multiclass set."""
        return len(self.classes) or 1

    @property
    def counted_classes(self) -> int:
        """Classes whose rows are counted: two of a binary set, one of a regression set, which counts labelled rows."""
        return 2 if self.kind == "binary" else self.outputs


@dataclass(frozen=True, eq=False)
class OnlineFit:
    """A probe of one label set at one place: a linear function of the activations as the model computes them."""

    label_set: LabelSet
    coef: Floats
    """(outputs, d)"""
    intercept: Floats
    """(outputs,)"""
    status: str
    """Which kind of optimum was reached, in a sentence."""
    converged: bool | None
    """Whether it is the minimum of its objective; None where that is not known."""
    regularization: float | None
    """The ridge or weight decay that was chosen on validation rows."""

    def scores(self, rows: ArrayLike) -> Floats:
        """Return the scores (m, outputs) of activations (m, d)."""
        return np.asarray(rows, np.float64) @ self.coef.T + self.intercept


def output_spans(label_sets: Sequence[LabelSet]) -> list[slice]:
    """Return which columns of the scores of all label sets belong to each set.

    Examples
    --------
    >>> output_spans([LabelSet("a", "binary"), LabelSet("b", "multiclass", ("x", "y", "z"))])
    [slice(0, 1, None), slice(1, 4, None)]
    """
    ends = np.cumsum([0, *(each.outputs for each in label_sets)]).tolist()
    return [slice(start, end) for start, end in zip(ends[:-1], ends[1:], strict=True)]
