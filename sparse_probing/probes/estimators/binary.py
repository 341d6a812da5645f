"""What all classifiers share: two classes of any name, balanced or not, and a decision between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.estimators.linear import DTYPES, LinearProbe
from sparse_probing.probes.validation import ClassWeight, Floats, Integers


class BinaryProbe(ClassifierMixin, LinearProbe):
    """A linear decision between two classes: what all classifiers share.

    Attributes
    ----------
    classes_ : (2,) array
        The labels, sorted; the second is the positive class.
    """

    balanced: bool = True

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the decision values (n,) of activations (n, d); positive for the second class."""
        return self._values(X)

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the predicted class (n,) of activations (n, d)."""
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(np.int64)]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return the probabilities (n, 2) of both classes.

        Where classes were balanced they are those of equally frequent classes: see
        :func:`sparse_probing.probes.metrics.calibration.log_prior_odds`.
        """
        scores = self.decision_function(X)
        return expit(np.stack([-scores, scores], axis=1))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _training_rows(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray, Integers]:
        """Check what is fitted to; return activations (n, d) and labels -1/+1 (n,)."""
        activations, labels = validate_data(self, X, y, dtype=DTYPES)
        check_classification_targets(labels)
        if (kind := type_of_target(labels, input_name="y", raise_unknown=True)) != "binary":
            raise ProbeError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ProbeError(f"All labels are of the one class {self.classes_[0]!r}. A probe needs rows of two.")
        return activations, 2 * codes - 1

    @property
    def _class_weight(self) -> ClassWeight:
        return "balanced" if self.balanced else "none"
