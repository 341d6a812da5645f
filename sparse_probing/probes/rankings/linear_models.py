"""Rankings by the coefficients of a linear model of all neurons together.

Both models are fitted to neurons of mean 0 and deviation 1 on the rows of the feature, with
balanced class weights and an intercept that is not penalised, so that no score depends on the scale
of the layer or of a neuron. No digit of a model depends on the other features.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.scaling import ScaledColumns
from sparse_probing.probes.inputs.validation import Floats, LabelledRows
from sparse_probing.probes.l1.losses import LogisticLoss
from sparse_probing.probes.l1.path_following import follow_path
from sparse_probing.probes.l1.proximal_newton import Penalty, null_correlation

logger = logging.getLogger(__name__)

Singles = NDArray[np.floating]

L1_SHARE = 0.1
"""Weight of the L1 penalty, as a share of the smallest weight that makes all coefficients 0."""
GAP = 1e-5
"""Relative duality gap at which an L1 model is precise enough for a ranking."""
MAX_NEWTON_STEPS = 100
TOLERANCE = 1e-5
"""Bound of the distance of SVM coefficients from the optimal ones, relative to their length, at which they are precise
enough."""
MAX_STEPS = 200
REFRESH = 10
"""Steps after which scores are computed again from the parameters."""
LINE_STEPS = 4
"""Newton steps of a line search."""


def l1_logistic(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the absolute coefficients of an L1-regularised logistic regression.

    Most are 0. A neuron that is not in the model scores the absolute gradient of its loss, as a
    share of the penalty, minus 1: below 0, and higher the nearer the neuron is to entering. The path to the
    penalty adds neurons as they enter, so that most columns are only read to check that they stay outside.
    """
    scores = np.zeros((len(features), X.shape[1]))
    for i, rows, y, columns in _standardised(X, features):
        n_positive = np.count_nonzero(y > 0)
        loss = LogisticLoss(y, 0.5 / np.where(y > 0, n_positive, len(y) - n_positive))
        strongest = null_correlation(columns, loss)
        if strongest == 0:
            continue
        penalty = L1_SHARE * strongest
        (fit,) = follow_path(
            columns, strongest, [penalty], lambda l1, loss=loss: (loss, Penalty(l1, 0)), None, GAP, MAX_NEWTON_STEPS
        )
        if fit.gap > GAP:
            logger.warning("The L1 model is within %.1e of its optimum; ranks may be off.", fit.gap)
        residual, _ = loss.derivatives(rows[:, fit.support].astype(np.float64) @ fit.coef + fit.intercept)
        scores[i] = np.minimum(np.abs(columns.correlate(residual)) / penalty - 1, 0)
        # Of standardised neurons; the score of a neuron in the model is above 0, those of all others are not.
        scores[i, fit.support] = np.abs(fit.coef) * columns.scale[fit.support]
    return scores


def linear_svm(X: NDArray, features: Sequence[LabelledRows], _rngs: Sequence[np.random.Generator]) -> Floats:
    """Return the absolute coefficients of a linear support vector machine.

    The objective is the mean squared hinge loss plus ``|coef|^2 / 2``: scikit-learn's
    ``LinearSVC(C=1 / n, class_weight="balanced")``, without its penalty on the intercept.
    """
    scores = np.zeros((len(features), X.shape[1]))
    for i, _, y, columns in _standardised(X, features):
        z = ((columns.stored - columns.mean) / columns.scale).astype(np.float32)
        scores[i] = np.abs(_svm_coefficients(z, y.astype(np.float32)))
    return scores


def _standardised(
    X: NDArray, features: Sequence[LabelledRows]
) -> Iterator[tuple[int, NDArray, NDArray, ScaledColumns]]:
    """Yield number, rows, labels and standardised columns of each feature, except where every neuron is constant."""
    for i, feature in enumerate(features):
        rows = X[feature.row]
        if (rows != rows[:1]).any():
            yield i, rows, feature.label, ScaledColumns.of(rows, standardize=True)


def _svm_coefficients(z: Singles, y: Singles) -> Singles:
    """Return the coefficients (d,) for standardised neurons z (n, d), which are overwritten, and labels -1/+1 (n,).

    Conjugate gradients with an exact line search, which needs the scores along the line and no further product
    with ``z``. They are preconditioned by the Hessian at 0, where every row is inside its margin; with the strong
    penalty most rows stay there, so that a few steps suffice. As the penalty makes the objective 1-strongly convex,
    the gradient bounds the distance from the optimal coefficients.

    References
    ----------
    Nocedal and Wright, Numerical Optimization (2006), section 5.2, the method of Polak and Ribiere.
    """
    from scipy.linalg import cho_factor, cho_solve  # here, because its import takes long in every process

    n, d = z.shape
    n_positive = np.count_nonzero(y > 0)
    weight = (0.5 / np.where(y > 0, n_positive, n - n_positive)).astype(np.float32)
    # With the weighted means removed, the Hessian at 0 has no entries between intercept and coefficients.
    z -= weight @ z
    # Its factor: of d neurons, or by Woodbury's identity of n rows.
    root = np.sqrt(2 * weight)[:, None] * z
    inner = root.T @ root if d <= n else root @ root.T
    inner[np.diag_indices_from(inner)] += 1
    factor = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)

    def precondition(gradient: Singles) -> Singles:
        if d <= n:
            return cho_solve(factor, gradient, check_finite=False)
        return gradient - root.T @ cho_solve(factor, root @ gradient, check_finite=False)

    coef, intercept, scores = np.zeros(d, np.float32), np.float32(0), np.zeros(n, np.float32)
    direction, tilt = np.zeros(d, np.float32), np.float32(0)
    old_gradient, old_at_intercept, old_size = direction, tilt, np.float32(np.inf)
    for step in range(MAX_STEPS):
        slope = -2 * weight * y * np.maximum(1 - y * scores, 0)
        gradient, at_intercept = coef + z.T @ slope, slope.sum()
        if np.hypot(np.linalg.norm(gradient), at_intercept) <= TOLERANCE * np.linalg.norm(coef):
            return coef
        steepest, upright = -precondition(gradient), -at_intercept / 2
        size = -(gradient @ steepest + at_intercept * upright)
        # Polak and Ribiere; a negative factor starts again from the steepest direction.
        common = -(old_gradient @ steepest + old_at_intercept * upright)
        keep = max((size - common) / old_size, np.float32(0))
        direction, tilt = steepest + keep * direction, upright + keep * tilt
        old_gradient, old_at_intercept, old_size = gradient, at_intercept, size
        # On the line the objective is quadratic between the points where a row reaches its margin: Newton's method
        # ends in a few steps.
        along, width = z @ direction + tilt, 0.0
        constant, square = coef @ direction, direction @ direction
        for _ in range(LINE_STEPS):
            inside = np.maximum(1 - y * (scores + width * along), 0)
            downhill = constant + width * square - 2 * (weight * y * along) @ inside
            width -= downhill / (square + 2 * (weight * along**2) @ (inside > 0))
        coef, intercept = coef + np.float32(width) * direction, intercept + np.float32(width) * tilt
        scores = z @ coef + intercept if step % REFRESH == 0 else scores + np.float32(width) * along
    logger.warning("The coefficients were not precise after %d steps; ranks may be off.", MAX_STEPS)
    return coef
