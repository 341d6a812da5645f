"""The base of all classifiers: a linear decision between two classes of any name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.estimators.linear import DTYPES, LinearProbe
from sparse_probing.probes.inputs.validation import ClassWeight, Floats, as_signed_labels
from sparse_probing.probes.l2.choose_C import C_GRID, best_C
from sparse_probing.probes.splits.grouped_split import Split


class BinaryProbe(ClassifierMixin, LinearProbe):
    """A linear decision between two classes: the base of all classifiers.

    Attributes
    ----------
    classes_ : (2,) array
        The labels, sorted; the second is the positive class.
    C_ : float
        Weight of the loss against the ridge, as it was given or chosen.
    """

    balanced: bool = True

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the decision values (n,) of activations (n, d); positive for the second class."""
        return self._linear_function(X)

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the predicted class (n,) of activations (n, d)."""
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(np.int64)]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return the probabilities (n, 2) of both classes.

        With ``balanced`` they are those of equally frequent classes; see
        :func:`sparse_probing.probes.metrics.calibration.log_prior_odds`.
        """
        scores = self.decision_function(X)
        return expit(np.stack([-scores, scores], axis=1))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _training_rows(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Floats]:
        """Check the arguments of ``fit``; return activations (n, d) and labels -1/+1 (n,)."""
        activations, labels = validate_data(self, X, y, dtype=DTYPES)
        check_classification_targets(labels)
        if (kind := type_of_target(labels, input_name="y", raise_unknown=True)) != "binary":
            raise ProbeError(f"Only binary classification is supported. The type of the target is {kind}.")
        signed_labels, _, _ = as_signed_labels(labels)
        self.classes_ = np.unique(labels)
        return activations, signed_labels

    def _chosen_C(
        self, C: float | None, labels: Floats, groups: ArrayLike | None, held_out: Callable[[list[Split]], Floats]
    ) -> float:
        """Return C, or the value of the grid that is best by the scores (n_Cs, n, 1) of held-out rows."""
        if C is None:
            best = self._choice(lambda folds: best_C(labels, held_out(folds), folds), labels, groups, len(labels))
            C = 1.0 if best is None else C_GRID[best]
        self.C_ = C
        return C

    @property
    def _class_weight(self) -> ClassWeight:
        return "balanced" if self.balanced else "none"
