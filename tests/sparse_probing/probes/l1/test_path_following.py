"""Scores, densities and convergence of the probes of a path."""

import numpy as np

from sparse_probing.probes.l1.path_following import SparseFit, SparsePath


def test_scores_and_density() -> None:
    fits = tuple(
        SparseFit(1.0, np.array(support, dtype=np.int64), np.array(coef), 0.5, 1.0, gap, 1, "")
        for support, coef, gap in (([], [], 1e-7), ([1, 3], [2.0, -1.0], 1e-3))
    )
    X = np.arange(8.0).reshape(2, 4)
    assert SparsePath(1.0, fits).scores(X).tolist() == [[0.5, -0.5], [0.5, 3.5]]
    assert [fit.density for fit in fits] == [0, 2]
    assert [fit.converged for fit in fits] == [True, False]
