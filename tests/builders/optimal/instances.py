"""Small problems that are difficult for a solver, and searches that do without parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sparse_probing.probes.optimal.branch_and_bound import solver
from sparse_probing.probes.optimal.branch_and_bound.incumbent import Incumbent
from sparse_probing.probes.optimal.branch_and_bound.relaxation import ROOT, SMOOTHING, Point, Relaxation, relax
from sparse_probing.probes.optimal.branch_and_bound.solver import Tree
from sparse_probing.probes.optimal.losses import LossName, balanced
from sparse_probing.probes.optimal.problem import SparseProblem, class_weights, ridge_of, scaled_columns
from sparse_probing.probes.optimal.result import Clock, Limits
from sparse_probing.probes.optimal.support_fit import fit_support

LOSSES: tuple[LossName, ...] = ("hinge", "logistic", "squared")

Raw = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Activations (n, d) and the score (n,) that is predicted; its sign is the label of a class."""


def correlated(rng: np.random.Generator, n: int = 50, d: int = 8) -> Raw:
    """Return neurons with three common factors."""
    X = rng.standard_normal((n, 3)) @ rng.standard_normal((3, d)) + rng.standard_normal((n, d))
    return X, X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + rng.standard_normal(n)


def ties(rng: np.random.Generator) -> Raw:
    """Return neurons with three values."""
    X = rng.integers(-1, 2, (40, 8)).astype(float)
    return X, X[:, :3].sum(axis=1) + rng.integers(-1, 2, 40) + 0.5


def duplicated(rng: np.random.Generator) -> Raw:
    """Return four neurons and a multiple of each."""
    X, score = correlated(rng)
    X[:, 4:] = X[:, :4] * [1, -1, 3, 1]
    return X, score


def constant(rng: np.random.Generator) -> Raw:
    """Return neurons of which two are constant."""
    X, score = correlated(rng)
    X[:, [1, 5]] = 3.0
    return X, score


def separable(rng: np.random.Generator) -> Raw:
    """Return classes that two neurons separate."""
    X, _ = correlated(rng)
    score = X[:, 0] - X[:, 1]
    return X + np.sign(score)[:, None] * (np.arange(8) < 2) * [1, -1, 0, 0, 0, 0, 0, 0], score


def few_rows(rng: np.random.Generator) -> Raw:
    """Return fewer rows than neurons."""
    return correlated(rng, n=6, d=9)


def two_rows(rng: np.random.Generator) -> Raw:
    """Return one row of each class."""
    return rng.standard_normal((2, 5)), np.array([1.0, -1.0])


def rare(rng: np.random.Generator) -> Raw:
    """Return a class of three rows."""
    X, score = correlated(rng)
    return X, score - np.sort(score)[-4]


def all_equal(rng: np.random.Generator) -> Raw:
    """Return six copies of one neuron."""
    X, score = correlated(rng)
    return X[:, [0] * 6], score


def all_constant(rng: np.random.Generator) -> Raw:
    """Return only constant neurons."""
    return np.ones((20, 5)), rng.standard_normal(20)


KINDS: dict[str, Callable[[np.random.Generator], Raw]] = {
    make.__name__: make
    for make in (
        correlated,
        ties,
        duplicated,
        constant,
        separable,
        few_rows,
        two_rows,
        rare,
        all_equal,
        all_constant,
    )
}


def problem_of(
    raw: Raw, loss: LossName, multiplier: float, balanced: bool = True, heavy: bool = False
) -> SparseProblem:
    """Return the problem of raw activations; ``heavy`` gives every seventh row a hundred times its weight."""
    X, score = raw
    y = score if loss == "squared" else np.where(score > 0, 1.0, -1.0)
    weight = class_weights(y, balanced and loss != "squared") * np.where(
        np.arange(len(y)) % 7 == 3, 100 if heavy else 1, 1
    )
    return SparseProblem(scaled_columns(X)[0], y, weight, ridge_of(len(y), multiplier), loss)


def make_problem(
    kind: str, loss: LossName, multiplier: float, seed: int = 0, balanced: bool = True, heavy: bool = False
) -> SparseProblem:
    """Return a problem of one of the ``KINDS``."""
    return problem_of(KINDS[kind](np.random.default_rng(seed)), loss, multiplier, balanced, heavy)


def hard(loss: LossName, d: int = 14, multiplier: float = 1000.0, n: int = 60, seed: int = 0) -> SparseProblem:
    """Return a problem whose tree has many nodes: a weak signal in independent neurons."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return problem_of((X, rng.standard_normal(n) + 0.15 * X[:, :6].sum(axis=1)), loss, multiplier)


@st.composite
def problems(draw: st.DrawFn, losses: tuple[LossName, ...] = LOSSES, widest: int = 6) -> SparseProblem:
    """Draw a small problem; few levels of its numbers make ties, duplicates and constant columns likely."""
    n, d = draw(st.integers(2, 16)), draw(st.integers(1, widest))
    level = st.integers(-3, 3).map(lambda i: i / 2)
    X = draw(arrays(np.float64, (n, d), elements=level))
    loss = draw(st.sampled_from(losses))
    if loss == "squared":
        y = draw(arrays(np.float64, n, elements=level).filter(lambda y: np.ptp(y) > 0))
    else:
        y = np.where(draw(arrays(np.bool_, n).filter(lambda y: 0 < y.sum() < len(y))), 1.0, -1.0)
    weight = draw(arrays(np.float64, n, elements=st.sampled_from([1.0, 0.1, 2.0, 50.0])))
    multiplier = draw(st.sampled_from([0.3, 1.0, 10.0, 100.0]))
    return SparseProblem(scaled_columns(X)[0], y, weight, ridge_of(n, multiplier), loss)


@contextmanager
def without_local_search(enumerate_too: bool = False) -> Iterator[None]:
    """Leave all the work to the tree: no search for good supports, and no enumeration unless ``enumerate_too``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "first_support", lambda fits, k, starts, clock: tuple(range(k)))
        patch.setattr(solver, "restarts", lambda fits, support, *args: support)
        patch.setattr(Relaxation, "rounded", lambda self, k: None)
        if not enumerate_too:
            patch.setattr(solver, "MOST_SINGLES", 0)
            patch.setattr(solver, "MOST_PAIRS", 0)
        yield


def stored_activations(dtype: type, n: int = 80, d: int = 100, seed: int = 0) -> NDArray:
    """Return activations (n, d) with large means and very different scales, in the precision of a store."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * np.logspace(-2, 2, d) + rng.uniform(-20, 20, d)).astype(dtype)


def random_duals(problem: SparseProblem, seed: int, near: float = 1.0) -> NDArray[np.float64]:
    """Return random balanced duals (n,) in the domain of the conjugate."""
    rng = np.random.default_rng(seed)
    if problem.loss == "squared":
        raw = problem.weight * (problem.y - problem.y.mean() + near * rng.standard_normal(problem.n_rows))
    else:
        raw = problem.y * problem.weight * rng.random(problem.n_rows) ** near
    return balanced(problem.code, raw, problem.weight)


def tree_with_root(
    problem: SparseProblem, k: int, support: tuple[int, ...], gap: float = 1e-5, seconds: float = 1e9
) -> Tree:
    """Return a tree that holds only its root, with a support as its incumbent."""
    incumbent = Incumbent(fit_support(problem, np.array(support)), gap)
    tree, neurons = Tree(problem, k, incumbent, Clock(Limits(seconds=seconds))), np.arange(problem.width)
    start = Point(neurons, 0, np.zeros(problem.width), 0.0)
    root = relax(problem, start, neurons, k, SMOOTHING, incumbent.target, ROOT)
    tree.close_or_open(0, neurons[:0], neurons, root, -np.inf)
    return tree
