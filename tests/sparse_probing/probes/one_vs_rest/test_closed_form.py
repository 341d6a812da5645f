"""Closed-form directions: scikit-learn's discriminants and nearest means."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.one_vs_rest.closed_form import lda, mass_mean
from tests.builders.layers import correlated_classes


@pytest.mark.parametrize("shape", [(200, 12), (60, 90)])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_lda_equals_scikit_learn(shape, n_classes):
    X, codes = correlated_classes(*shape, n_classes)
    coef, intercept = lda(X, codes, [0.1, 0.7])
    for i, share in enumerate((0.1, 0.7)):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share).fit(X, codes)
        scores, expected = X @ coef[i].T + intercept[i], model.decision_function(X).reshape(len(X), -1)
        difference = scores - expected
        # Of several classes, an equal shift of all scores of a row changes nothing.
        shift = difference.mean(axis=1, keepdims=True) if n_classes > 2 else 0
        assert difference - shift == pytest.approx(0, abs=0.02 * np.abs(expected).max())
        assert (np.corrcoef(scores[:, 0], expected[:, 0])[0, 1]) > 0.999


def test_mass_mean_is_the_nearest_mean_of_equally_frequent_classes():
    X, _ = correlated_classes(240, 10)
    codes = np.arange(240) % 3
    coef, intercept = mass_mean(X, codes)
    assert (X @ coef.T + intercept).argmax(axis=1).tolist() == NearestCentroid().fit(X, codes).predict(X).tolist()
    coef, intercept = mass_mean(X, codes == 0)
    assert coef.shape == (1, 10)


def test_without_variation_within_classes_it_is_the_nearest_mean():
    X, codes = np.repeat([[0.0], [1.0], [5.0]], 4, axis=0), np.repeat([0, 1, 2], 4)
    coef, intercept = lda(X, codes, [0.5])
    assert (X @ coef[0].T + intercept[0]).argmax(axis=1).tolist() == codes.tolist()


def test_refuses():
    with pytest.raises(ProbeError, match="above 0"):
        lda(np.random.default_rng(0).standard_normal((9, 2)), np.arange(9) % 2, [0.0])
