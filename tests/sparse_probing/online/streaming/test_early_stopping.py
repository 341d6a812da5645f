"""A probe stops after so many checks without progress, never in the warm-up; a resumed one stops at the same check."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.streaming.early_stopping import GROWTH, SHARE_OF_PASS, EarlyStopping, batches_of_checks


def checks_until_stop(stopper: EarlyStopping, losses) -> int | None:
    return next((i for i, loss in enumerate(losses, 1) if stopper.update(loss)), None)


@pytest.mark.parametrize(("patience", "warmup"), [(1, 0), (3, 0), (5, 10)])
def test_a_constant_loss_stops_after_warmup_and_patience(patience, warmup):
    stopper = EarlyStopping(patience, warmup)
    # The first check after the warm-up is the first best; `patience` more follow.
    assert checks_until_stop(stopper, [0.7] * 100) == warmup + 1 + patience
    assert stopper.update(0.0)  # it stays stopped
    assert stopper.n_checks == warmup + 1 + patience


def test_a_falling_loss_does_not_stop_and_a_floor_does():
    falling = EarlyStopping(3, 0)
    assert checks_until_stop(falling, 0.99 ** np.arange(500)) is None
    floor = checks_until_stop(EarlyStopping(3, 0), np.maximum(0.9 ** np.arange(500), 0.1))
    reached = math.ceil(math.log(0.1) / math.log(0.9))
    assert reached + 3 <= floor <= reached + 16  # the average of the last losses falls a little longer


def test_a_rising_loss_in_the_warm_up_is_not_counted():
    stopper = EarlyStopping(2, 20)
    assert checks_until_stop(stopper, [*range(1, 21), *np.linspace(19, 1, 60)]) is None


def test_smoothing_ignores_one_lucky_check():
    rng = np.random.default_rng(0)
    losses = 0.5 * 0.97 ** np.arange(60) + 0.02 * rng.standard_normal(60)
    assert checks_until_stop(EarlyStopping(5, 5), losses) is None


def test_losses_that_are_not_finite_count_and_do_not_stay_in_the_average():
    stopper = EarlyStopping(3, 0)
    assert not any(stopper.update(loss) for loss in (1.0, math.nan, math.inf))
    assert not stopper.update(0.5)
    assert stopper.smoothed == 0.75
    assert stopper.n_without_progress == 0
    assert checks_until_stop(EarlyStopping(3, 0), [math.nan] * 10) == 3


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(0, 60))
def test_a_resumed_stopper_continues_to_the_bit(losses, at):
    whole, first = EarlyStopping(3, 4), EarlyStopping(3, 4)
    for loss in losses[:at]:
        first.update(loss)
    resumed = EarlyStopping(**json.loads(json.dumps(first.state())))
    for loss in losses[at:]:
        resumed.update(loss)
    for loss in losses:
        whole.update(loss)
    assert resumed == whole


@pytest.mark.parametrize("settings", [{"patience": 0}, {"warmup_steps": -1}, {"threshold": 1}, {"threshold": -0.1}])
def test_bad_settings(settings):
    with pytest.raises(ProbeError, match="Early stopping with patience"):
        EarlyStopping(**settings)


@given(st.integers(1, 3000), st.integers(0, 50), st.floats(0, 20))
def test_checks_cost_a_bounded_share_and_patience_grows_with_the_texts(n_batches, warmup, cost):
    checks = batches_of_checks(n_batches, warmup, cost)
    assert checks[:1] == ([max(warmup, 1)] if max(warmup, 1) <= n_batches else [])
    gaps = np.diff(checks)
    assert (gaps >= 1).all()
    assert (gaps * SHARE_OF_PASS >= cost - 1e-9).all()
    assert (gaps >= GROWTH * np.array(checks[:-1], float) - 0.5).all()
    if checks:  # none is missing at the end
        assert checks[-1] + max(1, math.ceil(cost / SHARE_OF_PASS), round(GROWTH * checks[-1])) > n_batches


def test_cheap_checks_of_a_long_pass_are_few():
    assert batches_of_checks(20, 10, 0) == list(range(10, 21))
    assert len(batches_of_checks(100_000, 10, 0)) < 230
