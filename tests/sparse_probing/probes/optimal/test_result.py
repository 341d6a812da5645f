import time

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import SENTENCES, Clock, Limits, OptimalFit, relative_gap
from tests.sparse_probing.probes.optimal.instances import hard


def test_clock():
    clock = Clock(Limits(seconds=0.05))
    assert not clock.is_over()
    assert clock.is_over(share=0.0)
    time.sleep(0.06)
    assert clock.seconds >= 0.06
    assert clock.is_over()
    assert not clock.is_over(share=100.0)
    assert Clock(Limits(seconds=1e9, interrupted=lambda: True)).is_over()


@pytest.mark.parametrize(
    ("objective", "bound", "gap"), [(10, 9, 0.1), (10, 10, 0), (10, 11, 0), (0, 0, 0), (0, -1, 0), (2, -2, 2)]
)
def test_gap(objective, bound, gap):
    fit = OptimalFit((0,), np.ones(1), 0.0, objective, bound, "gap", "any", 1, 1, 0.0, 0.0, 0.0)
    assert fit.gap == relative_gap(objective, bound) == pytest.approx(gap)


def test_every_status_is_a_sentence():
    fit = branch_and_bound(hard("squared"), 2, Limits())
    assert SENTENCES[fit.status].startswith("No other support")
    assert set(SENTENCES) == {"proved", "gap", "interrupted"}
