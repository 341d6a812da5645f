"""Standard error, confidence interval and p-value of the area under the ROC curve of every neuron at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import expit, gammaln, logit, ndtr, ndtri

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers, check_rows

Scale = Literal["logit", "linear"]


@dataclass(frozen=True)
class RocInference:
    """Estimates of m areas under the ROC curve; every field is (m,)."""

    roc_auc: Floats
    standard_error: Floats
    low: Floats
    """Lower end of the confidence interval."""
    high: Floats
    """Upper end."""
    p_value: Floats
    """Two-sided, for an area of 1/2; not corrected for the number of neurons."""


def roc_inference(
    y: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    scale: Scale = "logit",
) -> RocInference:
    """Estimate the area under the ROC curve of every column, with its uncertainty.

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (n, m) array of any real dtype
        Decision values of m probes, or the activations of m neurons.
    groups : (n,) array of int, optional
        Rows of one group (tokens of a document) may depend on each other in any way; groups
        are independent. Without it every row is assumed independent, and intervals of tokens
        are far too narrow.
    level : float
        Confidence of the interval, strictly between 0 and 1.
    scale : {"logit", "linear"}
        The scale on which the estimate is assumed normal. "logit" keeps intervals between 0 and 1
        and has better coverage near the ends.

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, a class has rows
        in fewer than two groups, or ``level`` is not between 0 and 1.

    Notes
    -----
    One sort per column gives the *placement* of every row: the share of the other class that
    it beats, where ties count half. The variance is that of placements summed over groups, which
    for groups of one row is DeLong's. It needs dozens of groups: with fewer it is too small.

    Where an area is 0 or 1 its estimated variance is 0. The inner end of the interval is then
    the Clopper-Pearson bound of the largest number of pairs of one positive and one negative that
    use no group twice. No p-value is below 2 over the number of ways in which
    :func:`sparse_probing.probes.shuffled_labels.shuffled_labels` can assign the labels, the smallest
    p-value that a permutation test could report.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); Sun and Xu, IEEE Signal Processing
    Letters 21 (2014), for one sort instead of all pairs; Obuchowski, Biometrics 53 (1997), for
    groups.
    """
    scores, labels = check_rows(scores, y)
    if not 0 < level < 1:
        raise ProbeError(f"The confidence level is {level}; it must be between 0 and 1. Try 0.95.")
    n, positive = len(labels), labels > 0
    if groups is not None and np.shape(groups) != (n,):
        raise ProbeError(f"There are {n} rows but groups of shape {np.shape(groups)}. Pass one group per row.")
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    group_means = _group_means(positive, codes)
    blocks = [_estimate(positive, block, group_means) for _, block in column_blocks(scores)]
    area, error = np.concatenate(blocks, axis=1)
    # The largest number of pairs of a positive and a negative that use no group twice.
    with_positive, with_negative = (len(np.unique(codes[rows])) for rows in (positive, ~positive))
    n_pairs = max(1, min(with_positive, with_negative, (codes.max() + 1) // 2))
    low, high = _interval(area, error, level, scale, n_pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (area - 0.5) / error if scale == "linear" else logit(area) * (area * (1 - area) / error)
    p_value = 2 * ndtr(-np.abs(np.where((area == 0) | (area == 1), np.inf, z)))
    p_value = np.maximum(p_value, _smallest_p_value(positive, codes))
    return RocInference(area, error, low, high, np.where(area == 0.5, 1.0, p_value))


def _group_means(positive: Booleans, codes: Integers) -> tuple[csr_array, csr_array]:
    """Return two (groups, n) matrices: sums over the positives, and negatives, of a group, divided by their number."""
    sums = []
    for name, rows in (("positive", np.flatnonzero(positive)), ("negative", np.flatnonzero(~positive))):
        if len(np.unique(codes[rows])) < 2:
            raise ProbeError(f"All {len(rows)} {name} rows are of one group: their variance is unknown. Use more data.")
        ones = np.full(len(rows), 1 / len(rows))
        sums.append(csr_array((ones, (codes[rows], rows)), shape=(codes.max() + 1, len(codes))))
    return sums[0], sums[1]


def _estimate(positive: Booleans, scores: Floats, group_means: tuple[csr_array, csr_array]) -> Floats:
    """Return area and standard error (2, b) of a block of scores (b, n)."""
    placements = _placements(positive, scores)
    area = placements[:, positive].mean(axis=1)
    centred = np.ascontiguousarray((placements - area[:, None]).T)
    of_positives, of_negatives = (means @ centred for means in group_means)
    # Obuchowski's S10 / m, S01 / n and 2 S11 / (m n), each with its number of groups.
    variance = _scaled_sum(of_positives, of_positives, group_means[0])
    variance += _scaled_sum(of_negatives, of_negatives, group_means[1])
    variance += 2 * _scaled_sum(of_positives, of_negatives, group_means[0] + group_means[1])
    return np.stack([area, np.sqrt(np.maximum(variance, 0))])


def _scaled_sum(a: Floats, b: Floats, means: csr_array) -> Floats:
    """Sum the products of two (groups, b) arrays over groups, times g / (g - 1) for the g groups that have rows."""
    g = np.count_nonzero(np.diff(means.indptr))
    return np.einsum("ij,ij->j", a, b) * g / (g - 1)


def _placements(positive: Booleans, scores: Floats) -> Floats:
    """Return the share (b, n) of the other class that every row beats; ties count half."""
    n, n_positive = scores.shape[1], np.count_nonzero(positive)
    order = np.argsort(scores, axis=1)
    first, last = _ends_of_ties(np.take_along_axis(scores, order, axis=1))
    positives_up_to = np.zeros((len(scores), n + 1), dtype=np.int64)
    np.cumsum(positive[order], axis=1, out=positives_up_to[:, 1:])
    positives_below = (
        np.take_along_axis(positives_up_to, first, axis=1) + np.take_along_axis(positives_up_to, last + 1, axis=1)
    ) / 2
    negatives_below = (first + last + 1) / 2 - positives_below
    share = np.where(positive[order], negatives_below / (n - n_positive), 1 - positives_below / n_positive)
    placements = np.empty_like(scores)
    np.put_along_axis(placements, order, share, axis=1)
    return placements


def _ends_of_ties(ordered: Floats) -> tuple[Integers, Integers]:
    """Return the first and the last index (b, n) of the run of equal values at every index."""
    b, n = ordered.shape
    index = np.broadcast_to(np.arange(n), (b, n))
    starts = np.ones((b, n + 1), dtype=bool)
    starts[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(starts[:, :-1], index, 0), axis=1)
    last = np.minimum.accumulate(np.where(starts[:, 1:], index, n)[:, ::-1], axis=1)[:, ::-1]
    return first, last


def _interval(area: Floats, error: Floats, level: float, scale: Scale, n_pairs: int) -> tuple[Floats, Floats]:
    """Return the ends of the confidence interval; ``n_pairs`` gives the bound where the area is 0 or 1."""
    width = ndtri((1 + level) / 2) * error
    low, high = np.clip(area - width, 0, 1), np.clip(area + width, 0, 1)
    inside = (area > 0) & (area < 1)
    if scale == "logit":
        centre, width = logit(area[inside]), width[inside] / (area[inside] * (1 - area[inside]))
        low[inside], high[inside] = expit(centre - width), expit(centre + width)
    bound = ((1 - level) / 2) ** (1 / n_pairs)
    return np.where(area == 1, bound, low), np.where(area == 0, 1 - bound, high)


def _smallest_p_value(positive: Booleans, codes: Integers) -> float:
    """Return 2 over the number of ways to assign labels to groups, or to rows where a group has both labels."""
    positives, rows = np.bincount(codes, weights=positive), np.bincount(codes)
    mixed = ((positives > 0) & (positives < rows)).any()
    units = positive if mixed else positives > 0
    n, k = len(units), np.count_nonzero(units)
    return float(min(1.0, 2 * np.exp(gammaln(k + 1) + gammaln(n - k + 1) - gammaln(n + 1))))
