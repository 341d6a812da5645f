"""From the scores of the tokens of a text to one score of the text.

A probe gives every token a score s_1 ... s_n. What the text scores is one of these poolings:

``mean``
    (1 / n) sum_t s_t.
``max``
    max_t s_t.
``last``
    s_n.
``exponential``
    max_t e_t, with e_1 = s_1 and e_t = a s_t + (1 - a) e_{t-1}; a = 0.2. One token weighs little, a run of them much.
``rolling``
    The largest mean of w = 16 successive tokens; the mean of all where the text has fewer than w.
``softmax``
    sum_t s_t exp(s_t) / sum_t exp(s_t): between the mean (all scores equal) and the maximum (one far above the others).

The mean of the scores is the score of the mean activation. The others change the scale of scores: set a threshold on
scores that were pooled in the same way.

References
----------
McKenzie et al., Detecting High-Stakes Interactions with Activation Probes (2025), arXiv:2506.10805: mean, max, last,
rolling mean and softmax. Kramár et al., Building Production-Ready Probes for Gemini (2026), arXiv:2601.11516:
the maximum of an exponential moving average, and of rolling means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config.monitoring import ScorePooling

Floats = NDArray[np.float64]

POOLINGS: tuple[ScorePooling, ...] = get_args(ScorePooling)

ALPHA = 0.2
"""Weight of the newest token in ``exponential``."""
WINDOW = 16
"""Tokens of one mean in ``rolling``."""


def pool_scores(
    scores: ArrayLike, mask: ArrayLike, pooling: ScorePooling, alpha: float = ALPHA, window: int = WINDOW
) -> Floats:
    """Pool the scores of padded texts.

    Parameters
    ----------
    scores : (n, length, ...) array
        Scores of tokens; what is after the second axis (probes, classes) is pooled by itself.
    mask : (n, length) array of bool
        Where there is a token; padding may be anywhere, and may hold any value, also NaN.
    pooling : {'mean', 'max', 'last', 'exponential', 'rolling', 'softmax'}
        See the module for their definitions.
    alpha : float
        Of ``exponential``: above 0 and at most 1 (then it is ``max``).
    window : int
        Of ``rolling``: at least 1 (then it is ``max``).

    Returns
    -------
    (n, ...) float64

    Raises
    ------
    ProbeError
        When a text has no token, the shapes do not fit, or the pooling or its setting is not known.
    """
    values, is_token = np.asarray(scores, dtype=np.float64), np.asarray(mask, dtype=bool)
    if values.ndim < 2 or values.shape[:2] != is_token.shape:
        raise ProbeError(f"Scores {values.shape} need a mask of their first two axes, not {is_token.shape}.")
    if not is_token.any(axis=1).all():
        raise ProbeError(f"Text {int(np.argmin(is_token.any(axis=1)))} has no tokens to pool. Remove empty texts.")
    if not 0 < alpha <= 1 or window < 1:
        raise ProbeError(f"alpha must be above 0 and at most 1, and window at least 1; got {alpha} and {window}.")
    # Tokens move to the left, in their order; what is behind them is never used.
    order = np.argsort(~is_token, axis=1, kind="stable")
    n_tokens = is_token.sum(axis=1)
    further = (1,) * (values.ndim - 2)
    values = np.take_along_axis(values, order.reshape(*order.shape, *further), axis=1)
    valid = (np.arange(values.shape[1]) < n_tokens[:, None]).reshape(*order.shape, *further)
    count = n_tokens.reshape(-1, *further)

    if pooling == "mean":
        return np.where(valid, values, 0).sum(axis=1) / count
    if pooling == "max":
        return np.where(valid, values, -np.inf).max(axis=1)
    if pooling == "last":
        return values[np.arange(len(values)), n_tokens - 1]
    if pooling == "exponential":
        average = largest = values[:, 0]
        for t in range(1, values.shape[1]):
            average = np.where(valid[:, t], alpha * values[:, t] + (1 - alpha) * average, average)
            largest = np.maximum(largest, average)
        return largest
    if pooling == "rolling":
        width = np.minimum(count, window)
        largest = np.full(values.shape[:1] + values.shape[2:], -np.inf)
        # Each window is summed by itself: the difference of two sums over the text would lose digits.
        for end in range(1, values.shape[1] + 1):
            inside = valid[:, :end][:, -window:]
            means = np.where(inside, values[:, :end][:, -window:], 0).sum(axis=1) / width
            largest = np.where((width <= end) & (end <= count), np.maximum(largest, means), largest)
        return largest
    if pooling == "softmax":
        weights = softmax(np.where(valid, values, -np.inf), axis=1)
        return (weights * np.where(valid, values, 0)).sum(axis=1)
    raise ProbeError(f"There is no pooling {pooling!r}. Choose from {', '.join(POOLINGS)}.")


def pool_texts(
    scores: Sequence[ArrayLike], pooling: ScorePooling, alpha: float = ALPHA, window: int = WINDOW
) -> Floats:
    """Pool the scores of texts of different lengths; arguments and errors as `pool_scores`.

    Parameters
    ----------
    scores : sequence of (length, ...) arrays
        One array for each text; the axes after the first are equal.
    pooling : {'mean', 'max', 'last', 'exponential', 'rolling', 'softmax'}
    alpha : float
    window : int

    Returns
    -------
    (n, ...) float64

    Examples
    --------
    >>> pool_texts([[0.0, 1.0, 5.0], [2.0]], "max").tolist()
    [5.0, 2.0]
    """
    arrays = [np.asarray(each, dtype=np.float64) for each in scores]
    if not arrays:
        raise ProbeError("There are no texts to pool.")
    lengths = np.array([len(each) for each in arrays])
    padded = np.zeros((len(arrays), int(lengths.max()), *arrays[0].shape[1:]))
    for row, each in zip(padded, arrays, strict=True):
        row[: len(each)] = each
    return pool_scores(padded, np.arange(padded.shape[1]) < lengths[:, None], pooling, alpha, window)
