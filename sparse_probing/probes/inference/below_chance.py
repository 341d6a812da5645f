"""Scores on held-out rows that are significantly worse than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparse_probing.probes.inference.corrected_p_values import corrected_p_values
from sparse_probing.probes.inputs.validation import Booleans

if TYPE_CHECKING:
    import pandas as pd  # not in a task: its import takes half a second

SENTENCE = (
    "Significantly below chance on held-out rows: what holds in training is reversed there. "
    "Look for texts that nearly repeat across groups with other labels."
)


def below_chance(high: NDArray, p_value_corrected: NDArray | None = None, level: float = 0.95) -> Booleans:
    """Return which probes (m,) have an area under the ROC curve that is significantly below 1/2.

    Parameters
    ----------
    high : (m,) array
        Upper ends of the intervals of the areas, NaN where unknown.
    p_value_corrected : (m,) array, optional
        Where thousands of neurons were tested, the interval of many is below 1/2 by chance. With it, the
        corrected p-value must be below ``1 - level`` too, where it is known.
    level : float
        Of the intervals.
    """
    below = np.asarray(high, dtype=np.float64) < 0.5
    if p_value_corrected is None:
        return below
    corrected = np.asarray(p_value_corrected, dtype=np.float64)
    return below & ~(corrected >= 1 - level)


def below_chance_warning(rows: pd.DataFrame) -> str | None:
    """Return a warning for result rows, None where no probe outside the controls is significantly below chance.

    P-values that are not corrected yet are corrected over these rows: of many probes, some are below 1/2 by chance.
    """
    # A probe that is worse than chance in training too is not reversed: few large activations decide its coefficient.
    plain = rows[(rows["control"] == "") & (rows["train_roc_auc"] > 0.5)]
    corrected = plain["p_value_corrected"].to_numpy(np.float64)
    single = corrected_p_values(np.where(np.isnan(corrected), plain["p_value"].to_numpy(np.float64), np.nan))
    corrected = np.where(np.isnan(corrected), single, corrected)
    bad = plain[below_chance(plain["test_roc_auc_high"].to_numpy(), corrected)]
    if bad.empty:
        return None
    worst = bad.loc[bad["test_roc_auc"].idxmin()]
    return (
        f"{len(bad):,} of {len(plain):,} probes are significantly below chance on held-out rows; the worst, of "
        f"{worst['feature']} in layer {worst['layer']}, has ROC-AUC {worst['test_roc_auc']:.2f}. "
        "Look for texts that nearly repeat across groups with other labels."
    )
