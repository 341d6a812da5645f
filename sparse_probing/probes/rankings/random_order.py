"""A random order of neurons: the control that every informative ranking must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inputs.validation import Floats, LabelledRows


def random_order(X: NDArray, _features: Sequence[LabelledRows], rngs: Sequence[np.random.Generator]) -> Floats:
    """Return uniform random scores."""
    return np.array([rng.random(X.shape[1]) for rng in rngs])
