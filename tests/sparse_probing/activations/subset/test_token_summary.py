"""The summary of activations by token equals that of pandas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparse_probing.activations.subset.token_summary import token_summary

VOCABULARY = [f"token {i}" for i in range(10)]
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@given(st.integers(1, 200), st.integers(0, 99))
def test_every_number_is_that_of_numpy_on_the_raw_values(n, seed):
    rng = np.random.default_rng(seed)
    token, activation = rng.integers(0, 10, n), rng.standard_normal(n).astype(np.float32)
    summary = token_summary(token, activation, VOCABULARY)
    assert sorted(summary["token_id"]) == np.unique(token).tolist()
    for row in summary.to_dict("records"):
        values = activation[token == row["token_id"]].astype(np.float64)
        assert row["token"] == VOCABULARY[row["token_id"]]
        assert (row["count"], row["min"], row["max"]) == (len(values), values.min(), values.max())
        np.testing.assert_allclose(row["mean"], values.mean(), rtol=1e-12, atol=1e-15)
        deviation = values.std(ddof=1) if len(values) > 1 else np.nan
        np.testing.assert_allclose(row["std"], deviation, rtol=1e-9, atol=1e-12)
        for name, quantile in QUANTILES.items():
            np.testing.assert_allclose(row[name], np.quantile(values, quantile), rtol=1e-12, atol=1e-15)


def test_rows_fall_by_mean_and_equal_ones_rise_by_token():
    summary = token_summary(np.array([3, 1, 2, 2]), np.float32([1, 1, 5, 7]), VOCABULARY)
    assert summary["token_id"].tolist() == [2, 1, 3]
    columns = ["token_id", "token", "count", "mean", "std", "min", "q05", "q25", "q50", "q75", "q95", "max"]
    assert list(summary.columns) == columns


def test_control_the_token_decides():
    token, activation = np.arange(100) % 5, np.arange(100, dtype=np.float32)
    shuffled = token_summary(np.random.default_rng(0).permutation(token), activation, VOCABULARY)
    assert not shuffled.equals(token_summary(token, activation, VOCABULARY))
