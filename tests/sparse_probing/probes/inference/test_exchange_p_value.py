"""P-values of exchanged labels: every assignment enumerated, SciPy, levels far in the tail, groups of both classes."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, mannwhitneyu, norm, rankdata

from sparse_probing.probes.inference.exchange_p_value import exchange_p_values, smallest_p_value


def centred_ranks(scores):
    return (rankdata(scores, axis=0) - (len(scores) + 1) / 2).T


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.booleans(), st.floats(0, 2.5))
def test_near_the_enumeration_of_every_assignment(seed, k, uneven, shift):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(14), rng.integers(1, 6, 14) if uneven else np.ones(14, int))
    ranks = centred_ranks(
        (rng.standard_normal(14)[codes] + rng.standard_normal(len(codes)) + shift * (codes < k))[:, None]
    )
    sums = np.bincount(codes, weights=ranks[0])
    totals = np.array([sums[list(drawn)].sum() for drawn in combinations(range(14), k)])
    observed = sums[:k].sum()
    exact = 2 * min((totals >= observed - 1e-9).mean(), (totals <= observed + 1e-9).mean())
    (p_value,) = exchange_p_values(codes < k, ranks, codes)
    assert p_value == pytest.approx(min(exact, 1))


@pytest.mark.parametrize(("active", "false_alarms"), [(9, 1), (8, 0), (5, 0), (6, 2), (4, 3), (3, 0)])
def test_a_binary_column_has_the_hypergeometric_p_value(active, false_alarms):
    scores = np.zeros((90, 1))
    scores[:active] = scores[9 : 9 + false_alarms] = 1
    (p_value,) = exchange_p_values(np.arange(90) < 9, centred_ranks(scores), np.arange(90))
    exact = 2 * hypergeom.sf(active - 1, 90, active + false_alarms, 9)
    assert p_value == pytest.approx(exact, rel=0.12)


def test_single_rows_have_the_variance_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    positive = np.arange(120) < 30
    scores = np.round(rng.standard_normal((120, 40)) + 0.2 * positive[:, None], 1)
    p_value = exchange_p_values(positive, centred_ranks(scores), np.arange(120))
    peer = mannwhitneyu(scores[positive], scores[~positive], method="asymptotic", use_continuity=False).pvalue
    np.testing.assert_allclose(p_value, peer, rtol=0.05, atol=0.003)


@pytest.mark.parametrize("kind", ["normal", "cauchy", "sparse"])
@pytest.mark.parametrize(("k", "length"), [(6, 1), (6, 5), (20, 3)])
def test_level_is_held_far_in_the_tail_where_a_normal_reference_fails_on_ties(kind, k, length):
    rng = np.random.default_rng(k * length)
    old, new, n_tests = np.zeros(2), np.zeros(2), 0
    for _ in range(8):
        codes = np.repeat(np.arange(10 * k), rng.geometric(1 / length, 10 * k))
        draw = rng.standard_cauchy if kind == "cauchy" else rng.standard_normal
        scores = draw((10 * k, 1000))[codes] + draw((len(codes), 1000))
        scores = np.maximum(scores - 2.5, 0) if kind == "sparse" else scores
        positive = np.isin(codes, rng.choice(10 * k, k, replace=False))
        ranks = centred_ranks(scores)
        new_p = exchange_p_values(positive, ranks, codes)
        # The normal reference with the variance observed over the groups of each class.
        sums = np.stack([np.bincount(codes, weights=column) for column in ranks])
        is_positive = np.unique(codes[positive])
        variance = k * sums[:, is_positive].var(axis=1, ddof=1)
        old_p = 2 * norm.sf(np.abs(sums[:, is_positive].sum(axis=1)) / np.sqrt(np.where(variance > 0, variance, 1e9)))
        for levels, p_value in ((old, old_p), (new, new_p)):
            levels += [(p_value <= 1e-3).sum(), (p_value <= 1e-4).sum()]
        n_tests += len(new_p)
    expected = n_tests * np.array([1e-3, 1e-4])
    assert (new < expected + 4 * np.sqrt(expected) + 1).all()
    if kind == "sparse" and k == 6 and length > 1:
        assert old[1] > 3 * 1e-4 * n_tests


@pytest.mark.parametrize("labels", ["rows", "spans", "few_mixed"])
@pytest.mark.parametrize("n_groups", [6, 9, 30])
def test_level_with_both_classes_in_groups(labels, n_groups):
    rng = np.random.default_rng(n_groups)
    hits, n_tests = np.zeros(3), 0
    for _ in range(8):
        codes = np.repeat(np.arange(n_groups), 15)
        if labels == "rows":
            positive = rng.random(len(codes)) < 0.15
        elif labels == "spans":
            positive = (np.tile(np.arange(15), n_groups) - np.repeat(rng.integers(0, 13, n_groups), 15)) // 3 == 0
        else:
            positive = (codes < n_groups // 3 + 1) | ((codes < n_groups // 2 + 1) & (rng.random(len(codes)) < 0.4))
        noise = rng.standard_normal((len(codes), 1500))
        for row in range(1, len(codes)):  # neighbouring rows are similar
            noise[row] = 0.7 * noise[row - 1] + np.sqrt(1 - 0.49) * noise[row]
        scores = 0.7 * rng.standard_normal((n_groups, 1500))[codes] + noise
        p_value = exchange_p_values(positive, centred_ranks(scores), codes)
        hits += [(p_value <= level).sum() for level in (0.05, 1e-3, 1e-4)]
        n_tests += len(p_value)
    assert (hits <= np.array([1.3, 2, 4]) * np.array([0.05, 1e-3, 1e-4]) * n_tests + 2).all()


def test_planted_columns_are_found_with_few_groups():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(9), 40)
    positive = rng.random(360) < 0.2
    scores = rng.standard_normal((9, 50))[codes] + rng.standard_normal((360, 50)) + 3.5 * positive[:, None]
    assert np.median(exchange_p_values(positive, centred_ranks(scores), codes)) < 1e-4


def test_the_smallest_p_value_counts_assignments_within_groups():
    codes = np.repeat([0, 1], 4)
    positive = np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    assert smallest_p_value(positive, codes) == pytest.approx(2 / (comb(4, 2) * comb(4, 1)))
    # Pure groups exchange their labels; the group of both classes exchanges its rows.
    codes = np.array([0, 0, 1, 2, 3, 3, 3])
    positive = np.array([1, 1, 0, 0, 1, 0, 0], dtype=bool)
    assert smallest_p_value(positive, codes) == pytest.approx(2 / (comb(3, 1) * comb(3, 1)))
    ranks = centred_ranks(np.array([9.0, 8, 1, 2, 7, 3, 4])[:, None])
    assert exchange_p_values(positive, ranks, codes)[0] >= 2 / 9


def test_constant_columns_have_no_evidence():
    ranks = np.zeros((1, 12))
    assert exchange_p_values(np.arange(12) < 4, ranks, np.arange(12)).tolist() == [1]
    assert exchange_p_values(np.arange(12) % 2 < 1, ranks, np.arange(12) // 2).tolist() == [1]
