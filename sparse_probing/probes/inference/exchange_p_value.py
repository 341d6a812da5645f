"""P-values of areas under the ROC curve when the labels of groups are exchanged."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import expit, gammaln, log1p, ndtr, stdtr

from sparse_probing.probes.inputs.validation import Booleans, Floats, Integers

NORMAL_BELOW = 1.0
"""Standard deviations below which the normal distribution is used: the saddlepoint formula is 0 / 0 at the mean."""

MOST_STEPS = 60

MOST_ASSIGNMENTS = 10_000
"""Up to so many ways to draw groups, all are enumerated."""

TOGETHER = 256
"""Columns that are enumerated together."""


def exchange_p_values(positive: Booleans, ranks: Floats, codes: Integers) -> Floats:
    """Return two-sided p-values (b,) of the null hypothesis that labels do not depend on scores.

    The statistic is the sum of the ranks of the positive rows. It is the area under the ROC curve, up to
    a linear map.

    Parameters
    ----------
    positive : (n,) array of bool
    ranks : (b, n) array
        Mid-ranks of every column of scores, less their mean.
    codes : (n,) array of int
        The group of every row, from 0; every group occurs.

    Notes
    -----
    *Every group has one label.* The statistic is a sum over K of the G groups, drawn without
    replacement. Few draws are enumerated. The tail of more is that of Robinson's saddlepoint formula, which holds
    far out, for groups of any size, and (with the correction for lattices) for ranks with many ties. A normal
    distribution of the same variance gives p-values that are too small by factors of 10 and more there.

    *Some group has both labels.* The statistic is a part between groups, whose variance is that of
    exchanging the shares of positives of whole groups, and a part within them. The variance of the
    second part is the larger of two: that of exchanging the rows of a group, and the one observed over
    groups, which is larger where neighbouring rows and labels depend on each other. The reference
    is a t distribution with one degree of freedom less than there are groups of the rarer class.

    No p-value is below :func:`smallest_p_value`.

    References
    ----------
    Robinson, Annals of Statistics 10 (1982), for sampling without replacement; Barndorff-Nielsen,
    Biometrika 73 (1986), for the form of the tail; Daniels, International Statistical Review 55 (1987),
    for lattices; Hoeffding, Annals of Mathematical Statistics 22
    (1951), for the variance of a linear permutation statistic.
    """
    rows, positives = np.bincount(codes), np.bincount(codes, weights=positive)
    share = positives / rows
    sums = np.add.reduceat(ranks[:, np.argsort(codes, kind="stable")], np.cumsum(rows) - rows, axis=1)
    if np.isin(share, (0, 1)).all():
        p_value = _drawn_groups(sums, share == 1)
    else:
        p_value = _mixed_groups(positive, ranks, codes, sums, share)
    return np.maximum(p_value, smallest_p_value(positive, codes))


def smallest_p_value(positive: Booleans, codes: Integers) -> float:
    """Return 2 over the number of ways to assign the labels.

    Labels are exchanged among the groups that have one label, and within each group that has both.
    """
    rows, positives = np.bincount(codes), np.bincount(codes, weights=positive)
    pure = (positives == 0) | (positives == rows)
    n = np.append(rows[~pure], np.count_nonzero(pure))
    k = np.append(positives[~pure], np.count_nonzero(pure & (positives > 0)))
    return float(min(1.0, 2 * np.exp((gammaln(k + 1) + gammaln(n - k + 1) - gammaln(n + 1)).sum())))


def _drawn_groups(sums: Floats, drawn: Booleans) -> Floats:
    """Return p-values (b,) of the total of K drawn groups, of which ``sums`` (b, G) are the rank sums; all add to 0."""
    n_groups, k = len(drawn), int(np.count_nonzero(drawn))
    total = sums[:, drawn].sum(axis=1)
    if comb(n_groups, k) <= MOST_ASSIGNMENTS:
        ways = np.array(list(combinations(range(n_groups), k)))
        indicators = np.zeros((n_groups, len(ways)))
        indicators[ways.T, np.arange(len(ways))] = 1
        tails = np.empty((2, len(sums)))
        for start in range(0, len(sums), TOGETHER):
            part = slice(start, start + TOGETHER)
            # Sums of mid-ranks less their mean are multiples of 1/4, so that rounding decides nothing.
            above = sums[part] @ indicators - total[part, None]
            tails[:, part] = (above >= -0.1).mean(axis=1), (above <= 0.1).mean(axis=1)
        return np.minimum(2 * tails.min(axis=0), 1)
    deviation = np.sqrt(k * (n_groups - k) / (n_groups * (n_groups - 1)) * np.square(sums).sum(axis=1))
    z = np.abs(total) / np.where(deviation > 0, deviation, 1)
    p_value = 2 * ndtr(-z)
    far = z > NORMAL_BELOW
    if far.any():
        upwards = sums[far] * np.sign(total[far, None])
        p_value[far] = np.minimum(2 * _upper_tail(upwards, drawn, deviation[far]), 1)
    return p_value


def _upper_tail(sums: Floats, drawn: Booleans, deviation: Floats) -> Floats:
    """Return the probability (b,) that k of the G values of each row of ``sums`` (b, G) add to those drawn, or more.

    The values have mean 0, and the sum of k of them the standard deviation ``deviation`` (b,). Units enter the
    sample independently with probability expit(alpha + t a), given that k of them do. The two parameters solve
    E[count] = k and E[sum] = s: the minimum of a convex function, found by Newton's method.
    """
    n_groups, k = len(drawn), int(np.count_nonzero(drawn))
    # The next smaller sum, by the exchange of one unit: its distance matters where ties leave few sums.
    # (Drawn units come first among equal ones, so that a unit is only exchanged for a smaller one.)
    drawn_first = np.argsort(~drawn, kind="stable")
    order = drawn_first[np.argsort(sums[:, drawn_first], axis=1, kind="stable")]
    ordered, is_drawn = np.take_along_axis(sums, order, axis=1), drawn[order]
    largest_other = np.maximum.accumulate(np.where(is_drawn, -np.inf, ordered), axis=1)
    gap = np.where(is_drawn, ordered - largest_other, np.inf).min(axis=1) / deviation
    gap = np.where(np.isfinite(gap), gap, 0)
    a = sums / deviation[:, None]
    s = a[:, drawn].sum(axis=1) - gap / 2
    alpha_0 = np.log(k / (n_groups - k))
    t, alpha = s.copy(), np.full(len(s), alpha_0)

    def objective(t: Floats, alpha: Floats) -> Floats:
        return np.logaddexp(0, alpha[:, None] + t[:, None] * a).sum(axis=1) - t * s - alpha * k

    def moments(t: Floats, alpha: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the gradient in alpha and in t; then the Hessian: in alpha, the slope of alpha, in t given alpha."""
        enters = expit(alpha[:, None] + t[:, None] * a)
        variance = np.maximum(enters * (1 - enters), 1e-300)
        in_alpha = variance.sum(axis=1)
        slope = (variance * a).sum(axis=1) / in_alpha
        in_t = (variance * np.square(a - slope[:, None])).sum(axis=1)
        return enters.sum(axis=1) - k, (enters * a).sum(axis=1) - s, in_alpha, slope, np.maximum(in_t, 1e-12)

    value = objective(t, alpha)
    for _ in range(MOST_STEPS):
        from_count, from_sum, in_alpha, slope, in_t = moments(t, alpha)
        step_t = -(from_sum - slope * from_count) / in_t
        step_alpha = -from_count / in_alpha - slope * step_t
        # At the largest possible sum, t grows without limit while the tail converges: few long steps suffice.
        length = np.minimum(1, 5 / np.maximum(np.abs(step_t), 1e-300))
        for _ in range(MOST_STEPS):
            stepped = objective(t + length * step_t, alpha + length * step_alpha)
            if not (worse := stepped > value + 1e-9).any():
                break
            length = np.where(worse, length / 2, length)
        t, alpha, value = t + length * step_t, alpha + length * step_alpha, np.minimum(stepped, value)
        if np.abs(length * step_t).max() < 1e-6:
            break
    _, _, in_alpha, _, in_t = moments(t, alpha)
    # The signed root w of the likelihood ratio, and the Wald statistic u; r* = w + log(u / w) / w is almost normal.
    at_mean = n_groups * log1p(np.exp(alpha_0)) - alpha_0 * k
    w = np.sqrt(np.maximum(2 * (at_mean - value), 1e-12))
    half = np.minimum(gap * t / 2, 300)
    tilt = np.where(half > 1e-6, t * np.sinh(half) / np.maximum(half, 1e-6), t)
    u = tilt * np.sqrt(in_alpha * in_t * n_groups / (k * (n_groups - k)))
    return ndtr(-(w + np.log(np.maximum(u, 1e-300) / w) / w))


def _mixed_groups(positive: Booleans, ranks: Floats, codes: Integers, sums: Floats, share: Floats) -> Floats:
    rows, n_groups = np.bincount(codes), len(share)
    total = ranks[:, positive].sum(axis=1)
    between = np.square(share - share.mean()).sum() * np.square(sums).sum(axis=1) / (n_groups - 1)
    inside = ranks - (sums / rows)[:, codes]
    order, starts = np.argsort(codes, kind="stable"), np.cumsum(rows) - rows
    square = np.add.reduceat(np.square(inside)[:, order], starts, axis=1)
    exchanged = square @ (share * (1 - share) * rows / np.maximum(rows - 1, 1))
    # The same variance as it is observed: contributions of the mixed groups, less what a common shift explains.
    mixed = (share > 0) & (share < 1)
    parts = np.add.reduceat((inside * positive)[:, order], starts, axis=1)[:, mixed]
    weight = (share * (1 - share) * rows)[mixed]
    parts = parts - np.outer(parts.sum(axis=1), weight / weight.sum())
    n_mixed = np.count_nonzero(mixed)
    observed = np.square(parts).sum(axis=1) * (n_mixed / (n_mixed - 1) if n_mixed > 1 else 0)
    within = np.maximum(exchanged, observed)
    variance = np.where(between + within > 0, between + within, 1)
    # Welch and Satterthwaite: the units of each part are groups, or the rows of the rarer class that are exchanged.
    n_between = min(np.count_nonzero(share > 0), np.count_nonzero(share < 1))
    exchanged_rows = min((share * rows)[mixed].sum(), ((1 - share) * rows)[mixed].sum())
    n_within = np.where(observed > exchanged, n_mixed, max(exchanged_rows, 2))
    parts_squared = np.square(between / variance) / max(n_between - 1, 1)
    parts_squared += np.square(within / variance) / np.maximum(n_within - 1, 1)
    freedom = 1 / np.maximum(parts_squared, 1e-12)
    return 2 * stdtr(freedom, -np.abs(total) / np.sqrt(variance))
