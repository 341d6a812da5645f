"""The incumbent: what a better support must reach, and which supports are listed beside it."""

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.result import MARGIN
from sparse_probing.probes.optimal.support_fit import fit_support
from tests.builders.optimal.instances import LOSSES, hard
from tests.builders.optimal.reference import brute_force


@pytest.mark.parametrize(("tolerance", "goal"), [(None, 0.99), (0.0, 1.0), (0.05, 1.05)])
def test_goal(tolerance, goal):
    fit = fit_support(hard("squared"), np.array([0, 1]))
    incumbent = Incumbent(fit, 0.01, tolerance)
    assert incumbent.goal == pytest.approx(goal * fit.objective)
    assert incumbent.target == pytest.approx(incumbent.goal + MARGIN * fit.objective, rel=1e-14)


def test_only_better_supports_replace_the_incumbent():
    problem = hard("squared")
    values = brute_force(problem, 2)
    order = sorted(values, key=values.__getitem__)
    fits = [fit_support(problem, np.array(support)) for support in (order[5], order[9], order[0], order[1])]
    incumbent = Incumbent(fits[0], 1e-4, tolerance=1e9)
    for seconds, fit in enumerate(fits[1:]):
        incumbent.offer(fit, float(seconds))
    assert tuple(incumbent.fit.support) == order[0]
    assert incumbent.seconds == 1.0
    assert [near.support for near in incumbent.near_supports()] == [order[0], order[1], order[9]]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_refit_is_no_worse(loss):
    problem = hard(loss)
    rough = fit_support(problem, np.array([0, 1]), tolerance=1e-2)
    fit = Incumbent(rough, 1e-4).refit(problem)
    assert fit.objective <= rough.objective
    assert fit.objective - fit.bound <= 1e-6 * fit.objective
