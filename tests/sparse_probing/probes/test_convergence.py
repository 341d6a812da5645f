"""Convergence: which gaps count as converged, and the sentence that reports it."""

import numpy as np
import pytest

from sparse_probing.probes.convergence import CONVERGED, NOT_CONVERGED, SEPARATED, is_converged, status_of


@pytest.mark.parametrize(("gap", "converged"), [(0.0, True), (1e-6, True), (1.1e-6, False), (np.nan, False)])
def test_status_and_converged_follow_from_the_gap(gap, converged):
    assert is_converged(gap) is converged
    assert is_converged(np.array([gap])).tolist() == [converged]
    assert status_of(gap) == (CONVERGED if converged else NOT_CONVERGED)
    assert status_of(gap, separated=True) == (SEPARATED if converged else NOT_CONVERGED)
    assert status_of(gap, "Use more data.") == (CONVERGED if converged else "Use more data.")
