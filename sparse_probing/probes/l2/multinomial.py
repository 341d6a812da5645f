"""L2-regularised multinomial (softmax) probes on some neurons or all of a layer.

The objective is scikit-learn's, ``C sum_i w_i (log sum_c exp(f_ic) - f_iy_i) + |B|^2 / 2`` with
``f_i = b + B x_i``; intercepts are not penalised. Columns are centred inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import softmax

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import CONVERGED, CONVERGED_BELOW, NOT_CONVERGED
from sparse_probing.probes.l2.logistic import ClassWeight
from sparse_probing.probes.l2.softmax import SoftmaxObjective, Whitening
from sparse_probing.probes.scaling import centred_columns
from sparse_probing.probes.validation import Floats, Integers, check_classes, class_weights

TOLERANCE = 1e-9
"""Relative duality gap at which a fit stops."""
MEMORY = 30
"""Pairs of steps and gradients that L-BFGS keeps."""
MAX_CONJUGATE_STEPS = 500
"""Of one Newton step."""
SEPARATED = "Converged. The probe separates the classes; the ridge alone keeps its coefficients finite."


@dataclass(frozen=True)
class MultinomialFit:
    """A probe of several classes and how well it was fitted."""

    classes: NDArray
    """(K,) sorted."""
    coef: Floats
    """(K, k); sums to zero over the classes."""
    intercept: Floats
    """(K,); sums to zero."""
    objective: float
    gap: float
    """Duality gap over the objective: how far it is at most, relatively, above its minimum."""
    iterations: int
    status: str

    @property
    def converged(self) -> bool:
        """Whether the gap is below 1e-6."""
        return self.gap < CONVERGED_BELOW

    def scores(self, X: ArrayLike) -> Floats:
        """Return the decision values (n, K) of activations (n, k)."""
        return np.asarray(X) @ self.coef.T + self.intercept

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the class (n,) of the largest decision value."""
        return self.classes[self.scores(X).argmax(axis=1)]


def fit_multinomial(
    X: ArrayLike,
    y: ArrayLike,
    C: float = 1.0,
    class_weight: ClassWeight = "balanced",
    tolerance: float = TOLERANCE,
    max_iter: int = 3000,
) -> MultinomialFit:
    """Fit a softmax probe to all columns of ``X``.

    Parameters
    ----------
    X : (n, k) array of any real dtype
    y : (n,) array
        Classes, of any kind that sorts; two or more.
    C : float
        Weight of the loss against the ridge.
    class_weight : {"balanced", "none"}
        "balanced" weighs rows by n / (K n_class).
    tolerance : float
        Relative duality gap at which the fit stops.
    max_iter : int
        L-BFGS and Newton steps.

    Raises
    ------
    ProbeError
        If ``X`` is empty or not finite, if there is one class only, or if ``C`` is not positive.

    Notes
    -----
    L-BFGS and a few Newton steps, in coordinates in which the Hessian of every class is the
    identity at zero. With fewer rows than columns the fit is exact in the space of the rows. The gap is
    ``|gradient by B|^2 / 2`` where the intercepts are at their best: the Fenchel dual at the residual.
    """
    X, classes, codes = check_classes(X, y)
    if not C > 0:
        raise ProbeError(f"C is {C}; it must be positive. The smaller it is, the stronger the ridge.")
    means, design = centred_columns(X)
    basis = None
    if len(design) > len(codes):
        basis, design = qr(design, mode="economic", overwrite_a=True, check_finite=False)
    problem = SoftmaxObjective(design, codes, C * class_weights(codes, class_weight))
    end = _minimise(problem, tolerance, max_iter)
    status = _status(end.gap, problem.scores(end.coef, end.intercept), codes)
    coef = end.coef if basis is None else end.coef @ basis.T
    return MultinomialFit(classes, coef, end.intercept - coef @ means, end.objective, end.gap, end.steps, status)


@dataclass(frozen=True)
class _Point:
    coef: Floats
    intercept: Floats
    objective: float
    by_coef: Floats
    by_intercept: Floats
    steps: int

    @property
    def gap(self) -> float:
        """The relative duality gap, if the intercepts are at their best."""
        return float(np.square(self.by_coef).sum()) / 2 / self.objective


def _point(problem: SoftmaxObjective, coef: Floats, intercept: Floats, steps: int) -> _Point:
    """Return a point with the best intercepts for its coefficients."""
    intercept = problem.best_intercept(coef, intercept)
    return _Point(coef, intercept, *problem.derivatives(coef, intercept), steps)


def _minimise(problem: SoftmaxObjective, tolerance: float, max_iter: int) -> _Point:
    """Descend by L-BFGS, then take Newton steps as long as they lower the gap.

    The gap can be far above the distance to the minimum where columns are large; the objective,
    rounded, then shows no descent any more, but the gradient does.
    """
    whitening = Whitening.of(problem)
    now = _descend(problem, whitening, tolerance, max_iter)
    while now.gap > tolerance and now.steps < max_iter:
        coef_step, intercept_step = _newton_step(problem, whitening, now)
        after = _point(problem, now.coef + coef_step, now.intercept + intercept_step, now.steps + 1)
        if after.gap >= now.gap:
            break
        now = after
    return now


def _descend(problem: SoftmaxObjective, whitening: Whitening, tolerance: float, max_iter: int) -> _Point:
    """Return where L-BFGS has an estimated decrement below the tolerance."""
    decrement = np.inf

    def evaluate(flat: Floats) -> tuple[float, Floats]:
        nonlocal decrement
        objective, by_coef, by_intercept = problem.derivatives(*whitening.split(flat))
        gradient = whitening.join(by_coef, by_intercept)
        decrement = gradient @ gradient / 2 / objective
        return objective, gradient

    def stop(_flat: Floats) -> None:
        # A step ends with an evaluation at its end, so the decrement is that of this point.
        if decrement <= tolerance:
            raise StopIteration

    start = np.zeros(problem.n_classes * (len(problem.design) + 1))
    options = {"maxcor": MEMORY, "maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 0, "gtol": 0}
    end = minimize(evaluate, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
    return _point(problem, *whitening.split(end.x), int(end.nit))


def _newton_step(problem: SoftmaxObjective, whitening: Whitening, now: _Point) -> tuple[Floats, Floats]:
    """Return the Newton step by coefficients and intercepts, by conjugate gradients."""
    shares = softmax(problem.scores(now.coef, now.intercept), axis=0)
    gradient = whitening.join(now.by_coef, now.by_intercept)

    def bend(flat: Floats) -> Floats:
        return whitening.join(*problem.bend(shares, *whitening.split(flat)))

    hessian = LinearOperator((len(gradient), len(gradient)), matvec=bend, dtype=np.float64)
    step, _ = cg(hessian, -gradient, rtol=1e-3, maxiter=MAX_CONJUGATE_STEPS)
    return whitening.split(step)


def _status(gap: float, scores: Floats, codes: Integers) -> str:
    if gap >= CONVERGED_BELOW:
        return NOT_CONVERGED
    others = scores.copy()
    others[codes, np.arange(len(codes))] = -np.inf
    return SEPARATED if (scores[codes, np.arange(len(codes))] > others.max(axis=0)).all() else CONVERGED
