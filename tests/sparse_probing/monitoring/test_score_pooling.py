"""Poolings of token scores against loops that follow their definitions word by word."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.monitoring.score_pooling import POOLINGS, pool_scores, pool_texts

SCORES = st.lists(st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=1, max_size=24), min_size=1, max_size=4)


def by_definition(scores: list[float], pooling: str, alpha: float, window: int) -> float:
    """Return the pooled score of one text, by plain loops."""
    n = len(scores)
    if pooling == "mean":
        return math.fsum(scores) / n
    if pooling == "max":
        return max(scores)
    if pooling == "last":
        return scores[-1]
    if pooling == "exponential":
        average, averages = scores[0], [scores[0]]
        for score in scores[1:]:
            average = alpha * score + (1 - alpha) * average
            averages.append(average)
        return max(averages)
    if pooling == "rolling":
        width = min(window, n)
        return max(math.fsum(scores[start : start + width]) / width for start in range(n - width + 1))
    weights = [math.exp(score - max(scores)) for score in scores]
    return math.fsum(w * s for w, s in zip(weights, scores, strict=True)) / math.fsum(weights)


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=60)
@given(texts=SCORES, alpha=st.floats(0.05, 1), window=st.integers(1, 18))
def test_equals_its_definition(pooling, texts, alpha, window):
    pooled = pool_texts(texts, pooling, alpha, window)
    expected = [by_definition(text, pooling, alpha, window) for text in texts]
    np.testing.assert_allclose(pooled, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=30)
@given(texts=SCORES, seed=st.integers(0, 1000))
def test_padding_anywhere_changes_nothing(pooling, texts, seed):
    rng = np.random.default_rng(seed)
    length = max(map(len, texts)) + 3
    padded, mask = np.full((len(texts), length), np.nan), np.zeros((len(texts), length), bool)
    for row, text in enumerate(texts):
        places = np.sort(rng.choice(length, len(text), replace=False))
        padded[row, places], mask[row, places] = text, True
    pooled = pool_scores(padded, mask, pooling)
    np.testing.assert_allclose(pooled, pool_texts(texts, pooling), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_probes_are_pooled_by_themselves(pooling):
    scores = np.random.default_rng(0).normal(size=(3, 20, 2, 4))
    mask = np.arange(20) < np.array([20, 7, 1])[:, None]
    pooled = pool_scores(scores, mask, pooling)
    assert pooled.shape == (3, 2, 4)
    np.testing.assert_allclose(pooled[:, 1, 2], pool_scores(scores[:, :, 1, 2], mask, pooling), rtol=1e-13)


@settings(max_examples=50)
@given(text=st.lists(st.floats(-20, 20), min_size=1, max_size=40))
def test_order_of_the_poolings(text):
    pooled = {pooling: float(pool_texts([text], pooling)[0]) for pooling in POOLINGS}
    slack = 1e-9
    assert pooled["mean"] - slack <= pooled["softmax"] <= pooled["max"] + slack
    assert len(text) > 16 or abs(pooled["mean"] - pooled["rolling"]) < slack
    assert pooled["rolling"] <= pooled["max"] + slack
    assert pooled["exponential"] <= pooled["max"] + slack


def test_a_run_of_tokens_counts_more_than_one_token():
    one, run = np.zeros(64), np.zeros(64)
    one[30], run[20:36] = 5.0, 2.0
    assert pool_texts([one], "max")[0] > pool_texts([run], "max")[0]
    for pooling in ("exponential", "rolling"):
        assert pool_texts([run], pooling)[0] > 1.5 * pool_texts([one], pooling)[0]


def test_bad_input():
    with pytest.raises(ProbeError, match="Text 1 has no tokens"):
        pool_texts([[1.0], []], "mean")
    with pytest.raises(ProbeError, match="There are no texts"):
        pool_texts([], "mean")
    with pytest.raises(ProbeError, match="no pooling 'median'. Choose from mean, max"):
        pool_texts([[1.0]], "median")
    with pytest.raises(ProbeError, match="need a mask of their first two axes"):
        pool_scores(np.zeros((2, 3)), np.ones((2, 4), bool), "mean")
    with pytest.raises(ProbeError, match="alpha must be above 0"):
        pool_texts([[1.0]], "exponential", alpha=0.0)
