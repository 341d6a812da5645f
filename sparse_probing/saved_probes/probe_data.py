"""A trained linear probe of one hook point: its metadata and its arrays, and the scores of activations."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.saved_probes.probe_metadata import MAX_NEURON, ProbeMetadata, TrainedPoolingKind, is_text


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbeData(ProbeMetadata):
    """A linear function of some neurons for each output, and how to get these neurons from a text.

    The scores of activations x are ``((x[support] - mean) / scale) @ coef.T + intercept``. A positive score of a
    binary probe means that the feature is present; the largest score of a multiclass probe is that of the class; the
    score of a regression probe is the predicted number.

    Where the pooling over the tokens of a text was trained, the function has heads h with coefficients v_h and, of
    attention, queries q_h. With standardised activations z_t of the tokens t, the score of a text is
    ``sum_h sum_t softmax_t(q_h z_t) (v_h z_t) + intercept`` (attention), or ``sum_h max_t (v_h z_t) + intercept``
    (multimax). The score of a token is that of a text with no other token.
    """

    support: NDArray[np.int64]
    """(k,) neurons; all of the layer for a dense probe."""
    coef: NDArray[np.float64]
    """(outputs, k) coefficients; of trained pooling (heads x outputs, k), head by head."""
    intercept: NDArray[np.float64]
    """(outputs,)"""
    mean: NDArray[np.float64]
    """(k,) subtracted from the activations; zeros where the coefficients are for activations as the model computes
    them."""
    scale: NDArray[np.float64]
    """(k,) by which activations are then divided; ones where the coefficients are for activations as they are."""
    prior: NDArray[np.float64]
    """(outputs,) added to the scores of a probability: log odds (sigmoid) or logarithms (softmax) of the frequencies
    of the training rows, where the fit weighted classes equally; zeros elsewhere."""
    temperature: float
    """By which scores are divided before they become probabilities; 1 where none was fitted."""
    queries: NDArray[np.float64] | None = None
    """(heads, k) whose products with a token are the logits of its weights; None except with attention pooling."""

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit, and numbers that no probe has.

        Raises
        ------
        ProbeError
            Which says what does not fit.
        """
        k, outputs = len(self.support), len(self.classes) or 1
        if (self.queries is None) == (self.aggregation == "attention"):
            raise ProbeError("A probe has queries if its tokens are pooled by attention, and only then.")
        heads = max(1, len(self.coef) // outputs) if self.is_trained_pooling and self.coef.ndim else 1
        shapes = {"support": (k,), "coef": (heads * outputs, k), "mean": (k,), "scale": (k,)}
        shapes |= {"intercept": (outputs,), "prior": (outputs,)}
        shapes |= {} if self.queries is None else {"queries": (heads, k)}
        for name, shape in shapes.items():
            array, dtype = getattr(self, name), np.int64 if name == "support" else np.float64
            if array.shape != shape or array.dtype != dtype:
                raise ProbeError(
                    f"{name} of a probe of {k} neurons and {outputs} outputs must be {np.dtype(dtype)} of shape "
                    f"{shape}, not {array.dtype} of shape {array.shape}."
                )
            if not np.isfinite(array).all():
                raise ProbeError(f"{name} of the probe has values that are not finite.")
        if (self.kind == "multiclass") != (len(self.classes) > 1) or len(set(self.classes)) != len(self.classes):
            raise ProbeError(f"A {self.kind} probe cannot have the classes {self.classes[:10]}.")
        if not k or self.support.min() < 0 or self.support.max() >= MAX_NEURON or len(np.unique(self.support)) != k:
            raise ProbeError(f"The support of a probe must be distinct neurons from 0 to {MAX_NEURON - 1:,}.")
        n_special = len(self.prefix) + len(self.suffix)
        if n_special >= self.context_length:
            raise ProbeError(
                f"A probe with {n_special} special tokens around a text needs a longer context than "
                f"{self.context_length} tokens."
            )
        links = {"binary": ("sigmoid", "none"), "regression": ("none",)}.get(self.kind, ("sigmoid", "softmax", "none"))
        if self.link not in links:
            raise ProbeError(f"The scores of a {self.kind} probe have no probabilities by the link {self.link!r}.")
        if not all(is_text(name) for name in (self.feature, *self.classes)):
            raise ProbeError("The names of a feature and its classes must be texts, without half surrogate pairs.")
        if self.scale.min() <= 0 or not 0 < self.temperature < np.inf or not isfinite(self.threshold):
            raise ProbeError("scale and temperature of a probe must be positive, and its threshold finite.")

    def __repr__(self) -> str:
        """Return the feature, the place and the number of neurons."""
        place = f"{self.hook_point} of layer {self.layer}"
        return f"{type(self).__name__}({self.feature!r}, {len(self.support)} neurons at {place} of {self.model!r})"

    @property
    def is_trained_pooling(self) -> bool:
        """Whether the pooling over the tokens of a text was trained with the probe."""
        return self.aggregation in get_args(TrainedPoolingKind)

    @property
    def values(self) -> NDArray[np.float64]:
        """The coefficients (heads, outputs, k) by head; one head where the pooling was not trained."""
        return self.coef.reshape(-1, len(self.intercept), len(self.support))

    def scores_of(self, activations: ArrayLike) -> NDArray[np.float64]:
        """Return the scores of activations: of rows, or of tokens.

        Parameters
        ----------
        activations : (..., width) array
            Activations of the whole hook point.

        Returns
        -------
        (..., outputs) float64
            One score for a binary or regression probe, one for each of ``classes`` otherwise.

        Raises
        ------
        ProbeError
            When there are fewer columns than the probe needs.
        """
        x = np.asarray(activations)
        if x.shape[-1] <= self.support.max():
            raise ProbeError(
                f"The probe reads neuron {self.support.max()}, and the activations have {x.shape[-1]} columns. Pass "
                f"those of the whole {self.hook_point} of {self.model!r}."
            )
        return self.scores_of_support(x[..., self.support].astype(np.float64))

    def scores_of_support(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (..., outputs) of the activations (..., k) of the neurons of the support."""
        return ((x - self.mean) / self.scale) @ self.values.sum(axis=0).T + self.intercept

    def probabilities_of(self, activations: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of activations: those of :meth:`scores_of`, by :meth:`probabilities`.

        Parameters
        ----------
        activations : (..., width) array
            Activations of the whole hook point.

        Returns
        -------
        (..., outputs) float64

        Raises
        ------
        ProbeError
            When scores of this probe are not log odds.
        """
        return self.probabilities(self.scores_of(activations))

    def probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities that belong to scores: the sigmoid or softmax of ``scores / temperature + prior``.

        With ``link`` sigmoid each output has the probability of one class against all others, and the
        probabilities of several outputs need not sum to 1; with softmax they do.

        Parameters
        ----------
        scores : (..., outputs) array
            What :meth:`scores_of` returns.

        Returns
        -------
        (..., outputs) float64

        Raises
        ------
        ProbeError
            When scores of this probe are not log odds: regression, hinge and squared losses.
        """
        if self.link == "none":
            what = "numbers, not classes" if self.kind == "regression" else f"{self.provenance.probe}: not log odds"
            raise ProbeError(f"The scores of the probe of {self.feature!r} are {what}, and have no probabilities.")
        logits = np.asarray(scores, np.float64) / self.temperature + self.prior
        return expit(logits) if self.link == "sigmoid" else softmax(logits, axis=-1)
