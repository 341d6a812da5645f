"""The best neurons of a ranking, and how ties are broken."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inputs.validation import Integers


def top_neurons(scores: ArrayLike, k: int) -> Integers:
    """Return the indices (k,) of the ``k`` best scores, best first; of equal scores the lower index first.

    Raises
    ------
    ProbeError
        If a score is NaN, or ``k`` is not between 1 and the number of scores.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ProbeError("A ranking score is NaN. Check the activations behind it.")
    if not 1 <= k <= len(scores):
        d = len(scores)
        raise ProbeError(f"Cannot take the top {k} of {d} neurons. Choose k between 1 and {d}.")
    return np.argsort(-scores, kind="stable")[:k].astype(np.int64)
