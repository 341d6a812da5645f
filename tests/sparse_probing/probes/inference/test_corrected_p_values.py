"""Corrected p-values: equal to the step-up rule written out, unknown ones left out."""

import numpy as np

from sparse_probing.probes.inference.corrected_p_values import corrected_p_values


def test_equal_to_the_step_up_rule():
    p = np.array([0.001, 0.2, 0.03, np.nan, 0.8, 0.03])
    known = np.sort(p[np.isfinite(p)])
    corrected = corrected_p_values(p)
    for value, found in zip(p, corrected, strict=True):
        if np.isfinite(value):
            steps = [known[j] * len(known) / (j + 1) for j in range(len(known)) if known[j] >= value]
            assert abs(found - min(*steps, 1.0)) < 1e-12
    assert np.isnan(corrected[3])


def test_without_known_p_values():
    assert np.isnan(corrected_p_values(np.array([np.nan, np.nan]))).all()
