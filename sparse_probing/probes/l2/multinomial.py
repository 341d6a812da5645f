"""L2-regularised multinomial (softmax) probes of several classes.

The objective is scikit-learn's, ``C sum_i w_i (log sum_c exp(f_ic) - f_iy_i) + |B|^2 / 2`` with
``f_i = b + B x_i``; intercepts are not penalised. The fits centre columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import softmax

from sparse_probing.probes.convergence import is_converged, status_of
from sparse_probing.probes.inputs.row_space import RowSpace
from sparse_probing.probes.inputs.scaling import centred_columns, undo_scaling
from sparse_probing.probes.inputs.validation import ClassWeight, Floats, check_C, check_classes, class_weights
from sparse_probing.probes.l2.softmax import SoftmaxObjective, Whitening

TOLERANCE = 1e-9
"""Relative duality gap at which a fit stops."""
MEMORY = 30
"""Pairs of steps and gradients that L-BFGS keeps."""
MAX_CONJUGATE_STEPS = 500
"""Conjugate gradient steps of one Newton step."""


@dataclass(frozen=True)
class MultinomialFit:
    """A probe of several classes and how near its objective is to the minimum."""

    classes: NDArray
    """(K,) sorted."""
    coef: Floats
    """(K, k); sums to zero over the classes."""
    intercept: Floats
    """(K,); sums to zero."""
    objective: float
    gap: float
    """Duality gap over the objective: an upper bound of the relative distance to the minimum."""
    iterations: int
    status: str

    @property
    def converged(self) -> bool:
        """Whether the gap is at most 1e-6."""
        return is_converged(self.gap)

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
        Classes, two or more, of any type that can be sorted.
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
        If ``X`` is empty or not finite, if there is only one class, or if ``C`` is not positive.

    Notes
    -----
    L-BFGS and a few Newton steps, in coordinates in which the Hessian of every class is the
    identity at zero. With fewer rows than columns the fit is one of n coefficients per class, in an
    orthonormal basis of the space of the rows, which contains the minimum (representer theorem). The
    duality gap is ``|gradient by B|^2 / 2`` at the best intercepts: the Fenchel dual at the residual.
    """
    X, classes, codes = check_classes(X, y)
    check_C(C)
    means, design = centred_columns(X)
    space = None
    if len(design) > len(codes):
        space = RowSpace.of(design)
        design = space.coordinates
    objective = SoftmaxObjective(design, codes, C * class_weights(codes, class_weight))
    whitening = Whitening.of(objective)
    end = _descend(objective, whitening, tolerance, max_iter)
    end = _polish(objective, whitening, end, tolerance, max_iter)
    # The classes are separated where the score of the class of every row is above all its others.
    scores, rows = objective.scores(end.coef, end.intercept), np.arange(len(codes))
    of_class = scores[codes, rows]
    scores[codes, rows] = -np.inf
    status = status_of(end.gap, separated=bool((of_class > scores.max(axis=0)).all()))
    coef = end.coef if space is None else space.lift(end.coef)
    coef, intercept = undo_scaling(coef, end.intercept, means)
    return MultinomialFit(classes, coef, intercept, end.objective, end.gap, end.steps, status)


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
        """The relative duality gap at the best intercepts."""
        return float(np.square(self.by_coef).sum()) / 2 / self.objective


def _with_best_intercept(objective: SoftmaxObjective, coef: Floats, intercept: Floats, steps: int) -> _Point:
    """Return a point with the best intercepts for its coefficients, which the gap requires."""
    intercept = objective.best_intercept(coef, intercept)
    return _Point(coef, intercept, *objective.derivatives(coef, intercept), steps)


def _descend(objective: SoftmaxObjective, whitening: Whitening, tolerance: float, max_iter: int) -> _Point:
    """Take L-BFGS steps from zero until the estimated decrement is at most the tolerance."""
    decrement = np.inf

    def evaluate(flat: Floats) -> tuple[float, Floats]:
        nonlocal decrement
        value, by_coef, by_intercept = objective.derivatives(*whitening.split(flat))
        gradient = whitening.join(by_coef, by_intercept)
        decrement = gradient @ gradient / 2 / value
        return value, gradient

    def stop(_flat: Floats) -> None:
        # The last evaluation of a step is at its end, so the decrement is that of this point.
        if decrement <= tolerance:
            raise StopIteration

    start = np.zeros(objective.n_classes * (len(objective.design) + 1))
    options = {"maxcor": MEMORY, "maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 0, "gtol": 0}
    from scipy.optimize import minimize  # here, because only multinomial probes need it

    end = minimize(evaluate, start, jac=True, method="L-BFGS-B", callback=stop, options=options)
    return _with_best_intercept(objective, *whitening.split(end.x), int(end.nit))


def _polish(objective: SoftmaxObjective, whitening: Whitening, now: _Point, tolerance: float, max_iter: int) -> _Point:
    """Take Newton steps as long as they lower the gap.

    Where columns are large, the gap can be far above the distance to the minimum. The rounded
    objective then shows no descent any more, but the gradient does.
    """
    while now.gap > tolerance and now.steps < max_iter:
        shares = softmax(objective.scores(now.coef, now.intercept), axis=0)
        gradient = whitening.join(now.by_coef, now.by_intercept)

        def hessian_product(flat: Floats, shares: Floats = shares) -> Floats:
            return whitening.join(*objective.hessian_product(shares, *whitening.split(flat)))

        hessian = LinearOperator((len(gradient), len(gradient)), matvec=hessian_product, dtype=np.float64)
        step, _ = cg(hessian, -gradient, rtol=1e-3, maxiter=MAX_CONJUGATE_STEPS)
        coef_step, intercept_step = whitening.split(step)
        after = _with_best_intercept(objective, now.coef + coef_step, now.intercept + intercept_step, now.steps + 1)
        if after.gap >= now.gap:
            break
        now = after
    return now
