"""The k largest and smallest activations of neurons equal those of a sort."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.activations.statistics.extreme_examples import ExtremeExamples


@pytest.fixture(params=["largest", "smallest"])
def end(request):
    return request.param


def seen(x, order, sizes, k, end):
    """Examples after the tokens (rows of x) came in some order, in batches of some sizes."""
    top = ExtremeExamples.empty(x.shape[1], k, end)
    for rows in np.split(order, np.cumsum(sizes)[:-1]):
        if len(rows):
            extreme = torch.from_numpy(x[rows].max(0) if end == "largest" else x[rows].min(0))
            top.update(torch.from_numpy(x), torch.from_numpy(rows), torch.from_numpy(rows), extreme)
    return top


def expected(column, k, end):
    """The k most extreme, earlier tokens first among equal ones."""
    sign = -1 if end == "largest" else 1
    order = sorted(range(len(column)), key=lambda i: (sign * column[i], i))[:k]
    return column[order], np.array(order)


def check(top, x, k, end):
    value, token, there = top.examples()
    for neuron, column in enumerate(x.T):
        values, tokens = expected(column, k, end)
        assert np.array_equal(value[neuron][there[neuron]], values)
        assert np.array_equal(token[neuron][there[neuron]], tokens)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_any_order_and_batching_gives_the_extremes_with_ties_by_token(data, k, d, n_values, seed, smallest):
    end = "smallest" if smallest else "largest"
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(1, 40))
    x = rng.choice(np.float32([-2.5, -0.0, 0, 1, 7e20])[: n_values + 1], (n, d))
    sizes = data.draw(st.lists(st.integers(0, n), max_size=5)) + [n]
    check(seen(x, rng.permutation(n), np.diff(np.minimum(np.cumsum([0, *sizes]), n)), k, end), x, k, end)


@pytest.mark.parametrize("in_order", [True, False])
def test_many_batches_of_real_numbers(in_order, end):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 30)).astype(np.float32)
    order = np.arange(2000) if in_order else rng.permutation(2000)
    check(seen(x, order, [50] * 40, 10, end), x, 10, end)


def test_merging_equals_seeing_all(end):
    x = np.random.default_rng(2).integers(0, 4, (100, 8)).astype(np.float32)
    one, other = (seen(x, np.arange(first, 100, 2), [50], 5, end) for first in (1, 0))
    one.merge(other)
    check(one, x, 5, end)


def test_tokens_up_to_the_limit_can_be_told_apart(end):
    top = ExtremeExamples.empty(1, 2, end)
    token = torch.tensor([2**32 - 1, 2**32 - 2])
    top.update(torch.tensor([[-1.0], [-1.0]]), torch.arange(2), token, torch.tensor([-1.0]))
    assert top.examples().token.tolist() == [[2**32 - 2, 2**32 - 1]]
    assert top.examples().value.tolist() == [[-1.0, -1.0]]


def test_control_a_plain_topk_breaks_ties_otherwise():
    x = np.random.default_rng(2).integers(0, 2, (1000, 4)).astype(np.float32)
    tokens = torch.from_numpy(x).topk(5, dim=0).indices.T
    assert any(
        not np.array_equal(found, expected(column, 5, "largest")[1]) for found, column in zip(tokens, x.T, strict=True)
    )
