"""The intercept of an optimal hinge probe: inside the equally good interval, chosen by the training rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.intercept import (
    equally_good_intercepts,
    least_error_intercept,
    with_balanced_intercept,
)
from sparse_probing.probes.optimal.problem import SparseProblem, class_weights, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Limits
from sparse_probing.probes.optimal.support_fit import FINAL_TOLERANCE, fit_support
from tests.builders.optimal.instances import KINDS, make_problem, problems
from tests.builders.optimal.logs import check_proof
from tests.builders.optimal.reference import objective


def shifted_class(n: int, share: float, shift: float, seed: int, multiplier: float = 1.0) -> SparseProblem:
    """Return a problem of skewed neurons, the first of which is ``shift`` larger on the positive rows."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) < share * n, 1.0, -1.0)
    X = rng.exponential(size=(n, 4)) + np.outer(y > 0, [shift, 0, 0, 0])
    return SparseProblem(scaled_columns(X)[0], y, class_weights(y), ridge_of(n, multiplier))


def on_a_grid(problem, fit, points):
    """Return the objective and the weighted 0/1 error of the fit's coefficients at many intercepts."""
    scores = fit.coef @ problem.columns[fit.support].astype(float)
    wrong = (scores[None] + points[:, None] > 0) != (problem.y > 0)
    values = [objective(problem, fit.support, fit.coef, b) for b in points]
    return np.array(values), wrong @ problem.weight


def check_choice(problem, fit, chosen):
    """Check the chosen intercept by brute force over all breakpoints and cuts, and all intervals between them."""
    scores = fit.coef @ problem.columns[fit.support].astype(float)
    special = np.unique(np.concatenate([problem.y - scores, -scores]))
    points = np.unique(np.concatenate([special, (special[:-1] + special[1:]) / 2, [chosen.intercept, fit.intercept]]))
    values, errors = on_a_grid(problem, fit, points)
    low, high = chosen.intercepts
    assert low <= chosen.intercept <= high
    # Exactly the intercepts in the interval are the best ones.
    inside, scale = (points >= low) & (points <= high), values.min()
    assert (values[inside] <= scale * (1 + 1e-9)).all()
    apart = (points < low - 1e-6) | (points > high + 1e-6)
    assert (values[apart] > scale).all()
    # Objective and bound do not change, except that the objective can get nearer to its minimum.
    assert chosen.objective == pytest.approx(scale, rel=1e-9)
    assert chosen.objective <= fit.objective * (1 + 1e-10)
    assert chosen.objective >= fit.objective * (1 - 1e-6)
    assert chosen.bound == fit.bound
    assert np.array_equal(chosen.coef, fit.coef)
    # No point of the interval has a smaller error, except at its ends, which belong to the neighbouring interval.
    middle = (points > low) & (points < high)
    if middle.any():
        (error,) = on_a_grid(problem, fit, np.array([chosen.intercept]))[1]
        assert error <= errors[middle].min() + 1e-9 * problem.weight.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multiplier", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_the_chosen_intercept_is_one_of_the_best(kind, multiplier, balanced):
    problem = make_problem(kind, "hinge", multiplier, balanced=balanced)
    for support in [(0,), (1, 2), (0, 1, 4)]:
        fit = fit_support(problem, np.array(support), tolerance=FINAL_TOLERANCE)
        check_choice(problem, fit, with_balanced_intercept(problem, fit))


@given(problems(("hinge",)), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_drawn_intercepts_are_among_the_best(problem, k, seed):
    support = np.sort(np.random.default_rng(seed).permutation(problem.width)[:k])
    fit = fit_support(problem, support, tolerance=FINAL_TOLERANCE)
    check_choice(problem, fit, with_balanced_intercept(problem, fit))


@given(problems(("hinge",)), st.integers(1, 3))
@settings(max_examples=40)
def test_a_proof_with_the_chosen_intercept_is_accepted(problem, k):
    fit = branch_and_bound(problem, min(k, problem.width), Limits(gap=1e-5), proof=True)
    assert fit.intercepts is not None
    assert fit.intercepts[0] <= fit.intercept <= fit.intercepts[1]
    assert fit.objective == pytest.approx(objective(problem, fit.support, fit.coef, fit.intercept), rel=1e-12)
    assert check_proof(problem, fit.proof).proved


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_strong_ridge_leaves_an_interval_in_which_errors_differ(share):
    problem = shifted_class(200, share, 3.0, seed=1)
    fit = fit_support(problem, np.array([0]), tolerance=FINAL_TOLERANCE)
    low, high = equally_good_intercepts(problem, fit.coef @ problem.columns[fit.support].astype(float))
    values, errors = on_a_grid(problem, fit, np.linspace(low, high, 101))
    assert np.ptp(values) <= 1e-12 * values[0]
    assert high - low > 0.1
    assert errors.max() > 10 * errors.min()  # the objective does not see what the errors do
    (chosen,) = on_a_grid(problem, fit, np.array([with_balanced_intercept(problem, fit).intercept]))[1]
    assert chosen <= errors.min()


def test_the_threshold_holds_on_fresh_rows():
    gains = []
    for seed in range(5):
        problem, fresh = (shifted_class(200, 0.1, 3.0, seed) for seed in (seed, 100 + seed))
        fit = fit_support(problem, np.array([0]), tolerance=FINAL_TOLERANCE)
        chosen = with_balanced_intercept(problem, fit)
        scores = fit.coef @ fresh.columns[fit.support].astype(float)
        errors = [
            ((scores + b > 0) != (fresh.y > 0)) @ fresh.weight for b in (np.mean(chosen.intercepts), chosen.intercept)
        ]
        gains.append(errors[0] - errors[1])
    assert min(gains) >= 0
    assert np.mean(gains) > 0.05 * 200


def test_ties_take_the_middle_of_the_widest_region():
    # Scores -.2, .1 (negative) and .4 (positive): every threshold between .1 and .4 has no error.
    y = np.array([-1.0, -1.0, 1.0])
    problem = SparseProblem(np.zeros((1, 3), np.float32), y, class_weights(y), 1.0)
    assert least_error_intercept(problem, np.array([-0.2, 0.1, 0.4]), -0.6, 0.8) == pytest.approx(-0.25)
    assert least_error_intercept(problem, np.array([-0.2, 0.1, 0.4]), -0.2, 0.8) == pytest.approx(-0.15)
    # Thresholds above .35, between .1 and .3, and below 0 have two rows wrong, others three: the widest of those.
    y = np.array([1.0, -1.0, 1.0, -1.0])
    problem = SparseProblem(np.zeros((1, 4), np.float32), y, class_weights(y), 1.0)
    scores = np.array([0.0, 0.1, 0.3, 0.35])
    assert least_error_intercept(problem, scores, -0.34, -0.01) == pytest.approx(-0.2)
    assert least_error_intercept(problem, scores, -0.5, 0.5) == pytest.approx(0.25)
    assert least_error_intercept(problem, scores, -0.5, 0.2) == pytest.approx(-0.2)  # of equally wide ones the lower


def test_a_point_interval_is_kept():
    problem = shifted_class(60, 0.5, 1.0, seed=0)
    assert least_error_intercept(problem, np.linspace(-1, 1, 60), 0.2, 0.2) == 0.2


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_other_losses_have_one_intercept(loss):
    problem = make_problem("correlated", loss, 3.0)
    fit = fit_support(problem, np.array([0, 1]), tolerance=FINAL_TOLERANCE)
    assert with_balanced_intercept(problem, fit) is fit


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan])
def test_rows_without_weight_are_refused(weight):
    problem = make_problem("correlated", "hinge", 1.0)
    weights = np.where(np.arange(problem.n_rows) == 2, weight, problem.weight)
    with pytest.raises(ProbeError, match="Leave rows without weight out"):
        SparseProblem(problem.columns, problem.y, weights, problem.ridge)


@pytest.mark.parametrize("labels", [(1.0, 1.0), (0.0, 1.0), (-1.0, 0.0)])
def test_labels_that_are_not_two_classes_are_refused(labels):
    with pytest.raises(ProbeError, match=r"labels -1 and \+1"):
        SparseProblem(np.zeros((1, 2), np.float32), np.array(labels), np.ones(2), 1.0)
