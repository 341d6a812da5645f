"""The choice of C, or of a ridge alpha = 1 / C, by the scores of held-out rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Floats

C_GRID = tuple(float(C) for C in np.logspace(-4, 2, 7))
"""Values of C for a layer that is divided by its root mean square."""
ALPHA_GRID = tuple(float(alpha) for alpha in np.logspace(-3, 7, 21))
"""Values of the ridge of a regression probe on the same scale; one factorisation serves all of them."""

TOO_FEW_GROUPS = "C = 1, because two folds of the training rows with every class in both do not exist."
"""What the status of a probe adds where C could not be chosen."""


def balanced_log_loss(y: NDArray, scores: Floats) -> Floats:
    """Return the log loss of decision values (m, n, p), both classes with the same total weight: (m, p).

    Parameters
    ----------
    y : (n,) array of -1 and +1
    scores : (m, n, p) array
    """
    loss = np.logaddexp(0, -y[:, None] * scores)
    return (loss[:, y > 0].mean(axis=1) + loss[:, y < 0].mean(axis=1)) / 2


def one_vs_rest_log_loss(classes: NDArray, scores: Floats) -> Floats:
    """Return the balanced log loss (m, p), averaged over the classes, of decision values (m, n, p, K).

    Parameters
    ----------
    classes : (n,) array
        The class of every row; the scores follow the sorted classes.
    scores : (m, n, p, K) array
        Decision values of a probe of each class against the others.
    """
    losses = [
        balanced_log_loss(np.where(classes == c, 1.0, -1.0), scores[..., i]) for i, c in enumerate(np.unique(classes))
    ]
    return np.mean(losses, axis=0)


def squared_error(y: NDArray, predictions: Floats) -> Floats:
    """Return the mean squared error (m, p) of predictions (m, n, p) of targets (n,)."""
    return np.square(y[:, None] - predictions).mean(axis=1)
