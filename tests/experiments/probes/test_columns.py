import numpy as np
import pytest

from experiments.probes.columns import Columns, centred_columns
from probing_datasets.foundation.errors import ProbeError


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("standardize", [True, False])
def test_columns_equal_the_plain_formula(dtype, order, standardize):
    rng = np.random.default_rng(0)
    X = np.asarray(3 * rng.standard_normal((200, 37)) + 5, dtype=dtype, order=order)
    X[:, 4] = 0.1
    wide = X.astype(np.float64)
    expected = wide - wide.mean(axis=0)
    expected[:, 4] = 0
    if standardize:
        expected /= np.where(np.arange(37) == 4, 1, wide.std(axis=0))
    columns, vector = Columns.of(X, standardize), rng.standard_normal(200)
    assert columns.correlate(vector) == pytest.approx(vector @ expected, abs=1e-9)
    assert columns.take(np.array([9, 4, 0])) == pytest.approx(expected[:, [9, 4, 0]].T, abs=1e-10)
    means, design = centred_columns(X)
    assert means == pytest.approx(wide.mean(axis=0))
    assert design == pytest.approx((wide - wide.mean(axis=0)).T, abs=1e-10)


def test_constant_layer_is_refused():
    with pytest.raises(ProbeError, match="All 3 neurons are constant"):
        Columns.of(np.full((5, 3), 0.1), True)
