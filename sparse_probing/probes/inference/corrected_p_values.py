"""P-values of many neurons, corrected for the number of hypotheses."""

from __future__ import annotations

import numpy as np

from sparse_probing.probes.inputs.validation import Floats


def corrected_p_values(p_values: Floats) -> Floats:
    """Return p-values (m,) corrected over those that are known (Benjamini-Hochberg); NaN where unknown.

    References
    ----------
    Benjamini & Hochberg (1995), Controlling the False Discovery Rate, Journal of the Royal Statistical Society B 57.
    """
    from scipy.stats import false_discovery_control  # here: the import takes most of a second in every job

    known = np.isfinite(p_values)
    corrected = np.full(len(p_values), np.nan)
    if known.any():
        corrected[known] = false_discovery_control(p_values[known])
    return corrected
