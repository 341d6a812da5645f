"""The figure of planted neurons: a line per ranking, means over trials of a similar shift."""

import numpy as np
import pandas as pd
import pytest

from sparse_probing.reporting.figures.planted_neurons import planted_neurons


def test_every_ranking_has_a_line_of_means_over_similar_shifts():
    shift = np.geomspace(0.05, 5, 64)
    trials = pd.DataFrame(
        {"ranking": ["mean_dif"] * 64 + ["random"] * 64, "shift": np.tile(shift, 2), "found": [1.0] * 64 + [0.0] * 64}
    )
    (axes,) = planted_neurons(trials).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean dif", "random"]
    first, second = axes.lines
    assert set(np.asarray(first.get_ydata())) == {1.0}
    assert set(np.asarray(second.get_ydata())) == {0.0}
    assert len(first.get_xdata()) == 8
    assert np.min(first.get_xdata()) > 0.05
    assert np.max(first.get_xdata()) == pytest.approx(5, rel=0.4)
