"""Summarise the activations of a neuron by token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def token_summary(token: np.ndarray, activation: np.ndarray, vocabulary: Sequence[str]) -> pd.DataFrame:
    """Summarise the activations of one neuron by token.

    Parameters
    ----------
    token : (n,) int
        Token ids.
    activation : (n,) float
        Activation at each token.
    vocabulary : sequence of str
        String of each token id.

    Returns
    -------
    pandas.DataFrame
        One row per token id that occurs, by decreasing ``mean``: ``token_id``, ``token`` (its string),
        ``count``, ``mean``, ``std`` (divided by count - 1; missing when the token occurs once), ``min``, ``q05``,
        ``q25``, ``q50``, ``q75``, ``q95`` (interpolated linearly), ``max``.
    """
    groups = pd.Series(activation.astype(np.float64)).groupby(token)
    summary = groups.agg(["count", "mean", "std", "min", "max"])
    quantiles = groups.quantile(list(QUANTILES)).unstack()
    for place, quantile in enumerate(QUANTILES):
        summary.insert(4 + place, f"q{round(100 * quantile):02d}", quantiles[quantile])
    summary.insert(0, "token_id", summary.index.astype(np.int32))
    summary.insert(1, "token", [vocabulary[i] for i in summary["token_id"]])
    return summary.sort_values(["mean", "token_id"], ascending=[False, True], ignore_index=True)
