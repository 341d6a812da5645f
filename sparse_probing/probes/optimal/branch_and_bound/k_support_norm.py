"""The k-support penalty, and the quadratic models that Newton's method makes of relaxed problems.

The convex relaxation of "at most k coefficients" under a ridge is the squared k-support norm (Argyriou,
Foygel & Srebro, 'Sparse Prediction with the k-Support Norm', NeurIPS 2012)::

    min_{s in [0, 1]^p, sum s <= k}  sum_j u_j^2 / s_j

The *share* s_j says how much of neuron j is in the support. The first ``n_fixed`` coordinates belong to neurons
that are fixed in the support, so that their shares are 1; the others are free. With P(u) the sum of both penalties,
a model is ``c . u + u' H u / 2 + P(u) / (2 g)``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OUT, SHARED, WHOLE = 0, 1, 2
"""State of a coordinate: s = 0; 0 < s < 1; s = 1."""


@njit(cache=True)
def penalty(u, n_fixed, k, s):
    """Fill the optimal shares s (p - n_fixed,) of the free coefficients of u (p,); return the penalty P(u)."""
    fixed, free = u[:n_fixed], u[n_fixed:]
    n_nonzero, rest = 0, 0.0
    for j in range(len(free)):
        n_nonzero += free[j] != 0.0
        rest += abs(free[j])
    if n_nonzero <= k:
        s[:] = free != 0.0
        return fixed @ fixed + free @ free
    if k <= 0:
        return np.inf
    # The largest coefficients are whole; the others share the rest of k in proportion to their size.
    order = np.sort(np.abs(free))[::-1]
    n_whole, scale = 0, 0.0
    while n_whole < k:
        scale = (k - n_whole) / max(rest, 1e-300)
        if order[n_whole] * scale <= 1.0:
            break
        rest -= order[n_whole]
        n_whole += 1
    total = 0.0
    for j in range(len(free)):
        x = abs(free[j])
        s[j] = min(1.0, x * scale)
        if x > 0.0:
            total += x * x / s[j]
    return fixed @ fixed + total


@njit(cache=True)
def model_value(H, c, u, n_fixed, k, g, s):
    """Return the value of the model at u, and fill the shares s of the free coordinates."""
    return c @ u + 0.5 * (u @ (H @ u)) + penalty(u, n_fixed, k, s) / (2.0 * g)


@njit(cache=True)
def minimise_roughly(H, c, u, n_fixed, k, g, n_steps, tolerance):
    """Return a better u, by accelerated proximal gradient steps on the model (FISTA with restarts)."""
    p = len(u)
    # The step: slightly more than the largest eigenvalue of H, by a few steps of the power method.
    x = np.ones(p) + 0.3 * np.cos(np.arange(p) * 1.7)
    eigenvalue = 0.0
    for _ in range(12):
        x = H @ x
        length = np.sqrt(x @ x)
        eigenvalue = 1.05 * length
        if length == 0.0:
            break
        x /= length
    lipschitz = max(eigenvalue, 1e-8) + 0.02 / g
    strength = 1.0 / (g * lipschitz)
    best, z, t, s = u.copy(), u.copy(), 1.0, np.empty(p - n_fixed)
    for _ in range(n_steps):
        x = z - (c + H @ z) / lipschitz
        x[:n_fixed] /= 1.0 + strength
        if p > n_fixed:
            if k > 0 and np.abs(x[n_fixed:]).max() > 0.0:
                _proximal_shares(x[n_fixed:], k, strength, s)
                x[n_fixed:] *= s / (s + strength)
            else:
                x[n_fixed:] = 0.0
        moved = x - best
        if (z - x) @ moved > 0.0:  # the momentum points uphill: restart
            t, z = 1.0, best.copy()
            continue
        faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        z = x + ((t - 1.0) / faster) * moved
        t, best = faster, x
        if np.sqrt(moved @ moved) < tolerance * (np.sqrt(x @ x) + 1e-12):
            break
    return best


@njit(cache=True)
def _proximal_shares(u, k, strength, s):
    """Fill s with clip(c |u| - strength, 0, 1), where c makes their sum k."""
    n_nonzero, largest = 0, np.abs(u).max()
    for j in range(len(u)):
        n_nonzero += u[j] != 0.0
    if n_nonzero <= k:
        s[:] = 1.0
        return
    low, high = strength / largest, (1.0 + 2.0 * strength) / largest
    while _sum_of_shares(u, high, strength) < k:
        low, high = high, 2.0 * high
    for _ in range(45):
        c = 0.5 * (low + high)
        if _sum_of_shares(u, c, strength) > k:
            high = c
        else:
            low = c
    for j in range(len(u)):
        s[j] = min(1.0, max(0.0, abs(u[j]) * high - strength))


@njit(cache=True)
def _sum_of_shares(u, c, strength):
    total = 0.0
    for j in range(len(u)):
        total += min(1.0, max(0.0, abs(u[j]) * c - strength))
    return total


@njit(cache=True)
def minimise_exactly(H, c, start, n_fixed, k, g, n_steps):
    """Minimise the model by an active set: solve for a guess of every state, and correct the guess.

    Returns the point of least value among those visited; ``start`` if none is better.
    """
    p = len(start)
    s, best = np.zeros(p - n_fixed), start.copy()
    least = model_value(H, c, best, n_fixed, k, g, s)
    # The first guess: the states and the signs at the start.
    state, sign = np.full(p, WHOLE), np.zeros(p)
    for j in range(n_fixed, p):
        if start[j] == 0.0:
            state[j] = OUT
        elif s[j - n_fixed] < 1.0:
            state[j] = SHARED
        sign[j] = 1.0 if start[j] > 0.0 else -1.0
    extra = 1e-8 * np.trace(H) / max(1, p) + 1e-6 / g
    for _ in range(n_steps):
        n_whole, n_shared = (state[n_fixed:] == WHOLE).sum(), (state == SHARED).sum()
        room = k - n_whole
        if room < 0 or (n_shared > 0 and room == 0):
            break
        u = _solve(H, c, state, sign, room, g, extra)
        # Shared coordinates whose sign changed go out.
        changed = False
        for j in range(p):
            if state[j] == SHARED and u[j] * sign[j] <= 0.0:
                state[j] = OUT
                changed = True
        if changed:
            continue
        # The largest shared coordinate above the common level becomes whole, or whole ones below it become shared.
        level = np.abs(u[state == SHARED]).sum() / room if n_shared > 0 else 0.0
        largest, candidate = level * (1.0 + 1e-9), -1
        for j in range(n_fixed, p):
            if state[j] == SHARED and abs(u[j]) > largest:
                largest, candidate = abs(u[j]), j
        if candidate >= 0 and n_whole < k - 1:
            state[candidate] = WHOLE
            continue
        for j in range(n_fixed, p):
            if n_shared > 0 and state[j] == WHOLE and abs(u[j]) < level * (1.0 - 1e-9):
                state[j] = SHARED
                sign[j] = 1.0 if u[j] > 0.0 else -1.0
                changed = True
        if changed:
            continue
        # The states are consistent: keep the point if it is better, and let in one coordinate that is out.
        value = model_value(H, c, u, n_fixed, k, g, s)
        if value < least:
            least, best = value, u
        if not _admit(c + H @ u, u, state, sign, level / g, n_fixed, k, g):
            break
    return best


@njit(cache=True)
def _solve(H, c, state, sign, room, g, extra):
    """Return the stationary point (p,) for given states: shared coordinates have one common correlation."""
    index = np.flatnonzero(state != OUT)
    u = np.zeros(len(c))
    if len(index) == 0:
        return u
    B, right = np.empty((len(index), len(index))), np.empty(len(index))
    for a in range(len(index)):
        i = index[a]
        right[a] = -c[i]
        for b in range(len(index)):
            j = index[b]
            B[a, b] = H[i, j]
            if state[i] == SHARED and state[j] == SHARED:
                B[a, b] += sign[i] * sign[j] / (g * room)
        B[a, a] += extra + (1.0 / g if state[i] == WHOLE else 0.0)
    x = np.linalg.solve(B, right)
    for a in range(len(index)):
        u[index[a]] = x[a]
    return u


@njit(cache=True)
def _admit(gradient, u, state, sign, threshold, n_fixed, k, g):
    """Let in the coordinate whose correlation is most above the threshold; return whether there is one."""
    smallest, weakest, n_whole, n_shared = np.inf, -1, 0, 0
    for j in range(n_fixed, len(u)):
        n_shared += state[j] == SHARED
        if state[j] == WHOLE:
            n_whole += 1
            if abs(u[j]) < smallest:
                smallest, weakest = abs(u[j]), j
    if n_shared == 0:
        threshold = np.inf if k == 0 else (smallest / g if n_whole >= k else 0.0)
    largest, candidate = threshold * (1.0 + 1e-7) + 1e-12, -1
    for j in range(n_fixed, len(u)):
        if state[j] == OUT and abs(gradient[j]) > largest:
            largest, candidate = abs(gradient[j]), j
    if candidate < 0:
        return False
    full = n_whole >= k
    if n_shared == 0 and full:
        state[weakest] = SHARED
        sign[weakest] = 1.0 if u[weakest] > 0.0 else -1.0
    state[candidate] = SHARED if n_shared > 0 or full else WHOLE
    sign[candidate] = -1.0 if gradient[candidate] > 0.0 else 1.0
    return True
