"""Limits, the clock of a search, and the gap and status of a result."""

import numpy as np
import pytest

from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.result import SENTENCES, Clock, Limits, OptimalFit, relative_gap
from tests.builders.optimal.instances import hard


def test_a_clock_is_over_at_its_limit(monkeypatch):
    now = 0.0
    monkeypatch.setattr("sparse_probing.probes.optimal.result.time.monotonic", lambda: now)
    clock = Clock(Limits(seconds=0.05), start=0.0)
    assert not clock.is_over()
    now = 0.05
    assert clock.seconds == 0.05
    assert clock.is_over()


def test_an_interruption_ends_the_clock():
    assert not Clock(Limits(seconds=1e9)).is_over()
    assert Clock(Limits(seconds=1e9, interrupted=lambda: True)).is_over()


@pytest.mark.parametrize(
    ("objective", "bound", "gap"), [(10, 9, 0.1), (10, 10, 0), (10, 11, 0), (0, 0, 0), (0, -1, 0), (2, -2, 2)]
)
def test_gap(objective, bound, gap):
    fit = OptimalFit((0,), np.ones(1), 0.0, objective, bound, "gap", "any", 1, 1, 0.0, 0.0, 0.0)
    assert fit.gap == relative_gap(objective, bound) == pytest.approx(gap)


def test_every_status_has_a_sentence():
    fit = branch_and_bound(hard("squared"), 2, Limits())
    assert SENTENCES[fit.status].startswith("No other support")
    assert set(SENTENCES) == {"proved", "gap", "interrupted"}
