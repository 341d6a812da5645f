"""Standard error, confidence interval and p-value of the area under the ROC curve of every neuron at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import stdtrit

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.exchange_p_value import exchange_p_values
from sparse_probing.probes.inference.score_interval import area_variance, score_interval
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers, check_rows

CAUTION = 2.0
"""Standard errors by which the ratio of two variances must exceed 1 before intervals of independent rows are wider.
Otherwise their ends are functions of the area only; those of groups of rows depend on estimated variances in any case.
"""


@dataclass(frozen=True)
class RocInference:
    """Estimates of m areas under the ROC curve; every field is (m,)."""

    roc_auc: Floats
    standard_error: Floats
    """DeLong's, in Obuchowski's form for groups; 0 at an area of 0 or 1. Interval and p-value do not use it."""
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

    Raises
    ------
    ProbeError
        If a class is missing, the shapes do not fit, a score is not finite, a class has rows
        in fewer than two groups, or ``level`` is not between 0 and 1.

    Notes
    -----
    1/2 is outside the interval exactly where the p-value is below ``1 - level``.

    The p-value is that of exchanging labels between groups, and rows within groups that have both labels; see
    :func:`sparse_probing.probes.inference.exchange_p_value.exchange_p_values`. It holds its level far in the
    tail, where a correction for thousands of neurons uses it.

    The interval contains the areas that a test does not reject
    (:func:`sparse_probing.probes.inference.score_interval.score_interval`). The design effect of groups is that
    of the ranks of rows *within their class*, which is known at an area of 1 too and does not
    change when one class is shifted. The reference is a t distribution with one degree of freedom less than there
    are groups of the rarer class.

    The model of the variance assumes that both classes vary equally. Where they do not, the observed variance with
    equal medians is larger than the modelled one, and their ratio replaces the design effect (of independent rows: the
    ratio less ``CAUTION`` of its standard errors).

    Two sorts per column give for every row how many rows of each class it beats, where ties count half.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); Sun and Xu, IEEE Signal Processing
    Letters 21 (2014), for one sort instead of all pairs; Obuchowski, Biometrics 53 (1997), for
    groups.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([1, -1], [9, 81])
    >>> perfect = roc_inference(y, y[:, None])
    >>> bool(perfect.roc_auc[0] == 1), round(float(perfect.low[0]), 2), bool(perfect.p_value[0] < 1e-9)
    (True, 0.83, True)
    """
    scores, labels = check_rows(scores, y)
    if not 0 < level < 1:
        raise ProbeError(f"The confidence level is {level}; it must be between 0 and 1. Try 0.95.")
    n, positive = len(labels), labels > 0
    if groups is not None and np.shape(groups) != (n,):
        raise ProbeError(f"There are {n} rows but groups of shape {np.shape(groups)}. Pass one group per row.")
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    group_means = _group_means(positive, codes)
    blocks = [_estimate(positive, block, codes, group_means) for _, block in column_blocks(scores)]
    area, error, design_effect, spread, p_value = np.concatenate(blocks, axis=1)
    p_value = np.where(area == 0.5, 1.0, p_value)

    fewest = min(len(np.unique(codes[rows])) for rows in (positive, ~positive))
    quantile = float(stdtrit(fewest - 1, (1 + level) / 2))
    n_positive = int(np.count_nonzero(positive))
    caution = CAUTION if codes.max() + 1 == n else 0
    design_effect = np.maximum(design_effect, spread * (1 - caution / np.sqrt(fewest)))
    low, high = score_interval(area, design_effect, n_positive, n - n_positive, quantile)
    # The two tests of 1/2 agree except close to the level; there the p-value decides.
    rejected = p_value < 1 - level
    low = np.where(rejected & (area > 0.5), np.maximum(low, np.nextafter(0.5, 1)), low)
    high = np.where(rejected & (area < 0.5), np.minimum(high, np.nextafter(0.5, 0)), high)
    low, high = np.where(rejected, low, np.minimum(low, 0.5)), np.where(rejected, high, np.maximum(high, 0.5))
    return RocInference(area, error, low, high, p_value)


def _group_means(positive: Booleans, codes: Integers) -> tuple[csr_array, csr_array]:
    """Return two (groups, n) matrices: sums over the positives, and negatives, of a group, divided by their number."""
    sums = []
    for name, rows in (("positive", np.flatnonzero(positive)), ("negative", np.flatnonzero(~positive))):
        if len(np.unique(codes[rows])) < 2:
            raise ProbeError(f"All {len(rows)} {name} rows are of one group: their variance is unknown. Use more data.")
        ones = np.full(len(rows), 1 / len(rows))
        sums.append(csr_array((ones, (codes[rows], rows)), shape=(codes.max() + 1, len(codes))))
    return sums[0], sums[1]


def _estimate(positive: Booleans, scores: Floats, codes: Integers, group_means: tuple[csr_array, csr_array]) -> Floats:
    """Return five numbers (5, b) for every column of a block of scores (b, n).

    Area, standard error, design effect, ratio of the observed to the modelled variance, and p-value.
    """
    n, n_positive = len(positive), int(np.count_nonzero(positive))
    n_negative = n - n_positive
    positives_below, negatives_below = _rows_below(positive, scores)
    area, variance = _area_and_variance(positive, positives_below, negatives_below, group_means)
    # The same where both classes have the median 0: known at an area of 1 too.
    medians = np.stack([np.median(scores[:, rows], axis=1) for rows in (positive, ~positive)])
    aligned = scores - np.where(positive, *medians[:, :, None])
    area_0, variance_0 = _area_and_variance(positive, *_rows_below(positive, aligned), group_means)
    spread = variance_0 / np.maximum(area_variance(area_0, n_positive, n_negative), np.finfo(np.float64).tiny)

    # The same variance of centred ranks within the own class, relative to the variance of independent rows.
    own = np.where(positive, positives_below / n_positive - 0.5, 0.5 - negatives_below / n_negative)
    factor = np.where(positive, 1 / (n_positive * (n_positive - 1)), 1 / (n_negative * (n_negative - 1)))
    independent = np.square(own) @ factor
    design_effect = _variance(own, group_means) / np.where(independent > 0, independent, 1)
    rows, positives = np.bincount(codes), np.bincount(codes, weights=positive)
    share = positives / rows
    if np.isin(share, (0, 1)).all():
        least = 1.0
    else:
        # Groups that have both classes may cancel in the area; exchanging the rows of a group is what remains.
        order, starts = np.argsort(codes, kind="stable"), np.cumsum(rows) - rows
        means = np.add.reduceat(own[:, order], starts, axis=1) / rows
        inside = np.square(own - means[:, codes]) @ (share * (1 - share) * rows / np.maximum(rows - 1, 1))[codes]
        whole = n_positive / n * n_negative * np.square(own).mean(axis=1) * n / (n - 1)
        least = inside / np.where(whole > 0, whole, 1)
    design_effect = np.where(independent > 0, np.maximum(design_effect, least), 1.0)

    p_value = exchange_p_values(positive, positives_below + negatives_below - n / 2, codes)
    return np.stack([area, np.sqrt(variance), design_effect, spread, p_value])


def _area_and_variance(
    positive: Booleans, positives_below: Floats, negatives_below: Floats, group_means: tuple[csr_array, csr_array]
) -> tuple[Floats, Floats]:
    """Return the areas (b,) and their variances (Obuchowski) from how many rows of each class a row beats (b, n)."""
    n_positive = int(np.count_nonzero(positive))
    n_negative = len(positive) - n_positive
    placements = np.where(positive, negatives_below / n_negative, 1 - positives_below / n_positive)
    area = placements[:, positive].mean(axis=1)
    return area, np.maximum(_variance(placements - area[:, None], group_means), 0)


def _variance(centred: Floats, group_means: tuple[csr_array, csr_array]) -> Floats:
    """Return the variance (b,) of the mean over positives plus that over negatives of ``centred`` (b, n)."""
    columns = np.ascontiguousarray(centred.T)
    of_positives, of_negatives = (means @ columns for means in group_means)
    # Obuchowski's S10 / m, S01 / n and 2 S11 / (m n), each with its number of groups.
    variance = _scaled_sum(of_positives, of_positives, group_means[0])
    variance += _scaled_sum(of_negatives, of_negatives, group_means[1])
    return variance + 2 * _scaled_sum(of_positives, of_negatives, group_means[0] + group_means[1])


def _scaled_sum(a: Floats, b: Floats, means: csr_array) -> Floats:
    """Sum the products of two (groups, b) arrays over groups, times g / (g - 1) for the g groups that have rows."""
    g = np.count_nonzero(np.diff(means.indptr))
    return np.einsum("ij,ij->j", a, b) * g / (g - 1)


def _rows_below(positive: Booleans, scores: Floats) -> tuple[Floats, Floats]:
    """Return how many positives and how many negatives (b, n) every row beats; ties, the row itself too, count half."""
    n = scores.shape[1]
    order = np.argsort(scores, axis=1)
    first, last = _ends_of_ties(np.take_along_axis(scores, order, axis=1))
    positives_up_to = np.zeros((len(scores), n + 1), dtype=np.int64)
    np.cumsum(positive[order], axis=1, out=positives_up_to[:, 1:])
    in_order = (
        np.take_along_axis(positives_up_to, first, axis=1) + np.take_along_axis(positives_up_to, last + 1, axis=1)
    ) / 2
    positives_below, negatives_below = np.empty_like(scores), np.empty_like(scores)
    np.put_along_axis(positives_below, order, in_order, axis=1)
    np.put_along_axis(negatives_below, order, (first + last + 1) / 2 - in_order, axis=1)
    return positives_below, negatives_below


def _ends_of_ties(ordered: Floats) -> tuple[Integers, Integers]:
    """Return the first and the last index (b, n) of the run of equal values at every index."""
    b, n = ordered.shape
    index = np.broadcast_to(np.arange(n), (b, n))
    starts = np.ones((b, n + 1), dtype=bool)
    starts[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(starts[:, :-1], index, 0), axis=1)
    last = np.minimum.accumulate(np.where(starts[:, 1:], index, n)[:, ::-1], axis=1)[:, ::-1]
    return first, last
