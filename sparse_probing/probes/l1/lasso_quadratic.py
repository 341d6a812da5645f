"""The exact minimum of a small quadratic with an L1 penalty, by active sets.

Signs are guessed for all coordinates at once (a semismooth Newton step), the quadratic is
minimised for these signs by one Cholesky factor, and the objective is then minimised along the
way there, where a coordinate that would change its sign stops at zero. Where that gains less than
moving the coordinate that violates optimality most, the signs are kept as they are
(feature-sign search), and where that gains less too, this coordinate moves alone. A few
factors suffice where coordinate descent needs thousands of sweeps, as it does on correlated neurons.

References
----------
Lee, Battle, Raina and Ng, Efficient sparse coding algorithms (NeurIPS 2006), algorithm 1.
Hintermueller, Ito and Kunisch, The primal-dual active set strategy as a semismooth Newton
method (SIAM J. Optim. 2002).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sparse_probing.probes.validation import Floats

LARGEST_VIOLATION = 1e-9
"""Distance of zero from the subdifferential, in units of the penalty, at which a minimum is accepted."""
MAX_STEPS = 1000


def minimise_lasso_quadratic(Q: Floats, q: Floats, l1: float, start: Floats) -> Floats:
    """Return the minimum of ``x' Q x / 2 - q' x + l1 |x|_1``.

    Parameters
    ----------
    Q : (p, p) array
        Symmetric, positive definite.
    q : (p,) array
    l1 : float
        Positive.
    start : (p,) array

    Returns
    -------
    (p,) array
        Exact zeros outside its support. Never above ``start``; short of the minimum only after ``MAX_STEPS``.
    """
    # From a start that is worse than none the way may be very long.
    x, diagonal = start if _value(start, Q, q, l1) < 0 else np.zeros(len(q)), np.diag(Q)
    for _ in range(MAX_STEPS):
        pull = q - Q @ x
        violation = np.where(x != 0, np.abs(pull - l1 * np.sign(x)), np.abs(pull) - l1)
        worst = int(violation.argmax())
        if violation[worst] <= LARGEST_VIOLATION * l1:
            break
        alone = pull + diagonal * x
        everywhere = np.where(np.abs(alone) > l1, np.sign(alone), 0)
        moves = (_towards(x, pull, Q, q, l1, signs) for signs in (everywhere, np.sign(x)))
        single = _one_moved(x, worst, alone, diagonal, l1)
        bar = _value(single, Q, q, l1)
        x = next((move for move in moves if move is not None and _value(move, Q, q, l1) <= bar), single)
    return x


def _value(x: Floats, Q: Floats, q: Floats, l1: float) -> float:
    return float(x @ (Q @ x / 2 - q) + l1 * np.abs(x).sum())


def _one_moved(x: Floats, j: int, alone: Floats, diagonal: Floats, l1: float) -> Floats:
    """Return the minimum along coordinate ``j``."""
    moved = x.copy()
    moved[j] = np.sign(alone[j]) * max(abs(alone[j]) - l1, 0) / diagonal[j]
    return moved


def _towards(x: Floats, pull: Floats, Q: Floats, q: Floats, l1: float, signs: Floats) -> Floats | None:
    """Return the best point on the way from ``x`` to the minimum for these signs; None if that is ``x``."""
    free = np.flatnonzero(signs)
    target = np.zeros(len(x))
    if len(free):
        factor = cho_factor(Q[np.ix_(free, free)], lower=True, overwrite_a=True, check_finite=False)
        target[free] = cho_solve(factor, (q - l1 * signs)[free], check_finite=False)
    step = target - x
    slope = l1 * np.where(x != 0, np.sign(x) * step, np.abs(step)).sum() - pull @ step
    if not slope < -LARGEST_VIOLATION * l1 * np.abs(step).sum():
        return None
    return _first_valley(x, step, target, slope, float(step @ Q @ step), l1)


def _first_valley(x: Floats, step: Floats, target: Floats, slope: float, bend: float, l1: float) -> Floats:
    """Minimise along ``x + t step``, t in [0, 1]: a convex parabola whose slope jumps where a sign changes."""
    crossing = np.full(len(x) + 1, np.inf)
    np.divide(-x, step, out=crossing[:-1], where=x * step < 0)
    order = np.argsort(crossing)
    jumps = 2 * l1 * np.abs(np.append(step, 0))[order]
    before = slope + np.cumsum(jumps) - jumps
    first = np.argmax(before + jumps + bend * crossing[order] >= 0)
    length = min(-before[first] / bend, crossing[order[first]])
    if length >= 1:
        return target
    moved = x + length * step
    if length == crossing[order[first]]:
        moved[order[first]] = 0
    return moved
