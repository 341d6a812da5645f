"""L1 paths: minima, null strengths, gaps, hard columns, maximum supports, laws, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, enet_path

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.convergence import SEPARATED
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.l1.l1_path import fit_l1_path, fit_lasso_path
from sparse_probing.probes.l2.logistic import fit_dense
from tests.builders.layers import correlated
from tests.builders.references import logistic_objective, standardised


def dense_coef(fit, d):
    coef = np.zeros(d)
    coef[fit.support] = fit.coef
    return coef


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("balanced", [True, False])
def test_path_equals_scikit_learn(l1_ratio, balanced):
    X, y = correlated(300, 20)
    class_weight = "balanced" if balanced else "none"
    path = fit_l1_path(X, y, n_Cs=5, l1_ratio=l1_ratio, class_weight=class_weight, standardize=False, tolerance=1e-9)
    for fit in path.fits:
        model = LogisticRegression(
            C=fit.strength,
            l1_ratio=l1_ratio,
            solver="saga",
            tol=1e-8,
            max_iter=20_000,
            class_weight="balanced" if balanced else None,
            random_state=0,
        ).fit(X - X.mean(axis=0), y)
        args = (fit.strength, balanced, l1_ratio)
        best = logistic_objective(X - X.mean(axis=0), y, model.coef_[0], model.intercept_[0], *args)
        ours = logistic_objective(X, y, dense_coef(fit, 20), fit.intercept, *args)
        assert fit.objective == pytest.approx(ours, rel=1e-11)
        assert fit.objective <= best * (1 + 1e-9)
        assert fit.objective == pytest.approx(best, rel=1e-6)
        assert dense_coef(fit, 20) == pytest.approx(model.coef_[0], abs=1e-3)
        assert fit.gap <= 1e-9
        assert fit.converged
        assert fit.status == "Converged."


def test_standardised_path_is_the_raw_path_on_standardised_columns():
    X, y = correlated(300, 20)
    X[:, 3] *= 1000
    inside, outside = fit_l1_path(X, y, n_Cs=4), fit_l1_path(standardised(X), y, n_Cs=4, standardize=False)
    assert inside.null_strength == pytest.approx(outside.null_strength)
    for a, b in zip(inside.fits, outside.fits, strict=True):
        assert a.objective == pytest.approx(b.objective, rel=1e-6)
        assert a.support.tolist() == b.support.tolist()
        assert a.coef * X.std(axis=0)[a.support] == pytest.approx(b.coef, abs=1e-3)
    assert inside.scores(X) == pytest.approx(outside.scores(standardised(X)), abs=0.02)


def test_lasso_path_equals_scikit_learn():
    X, _ = correlated(300, 20)
    y = X[:, 0] - 2 * X[:, 7] + np.random.default_rng(1).standard_normal(len(X))
    centred, target = X - X.mean(axis=0), y - y.mean()
    for l1_ratio in (1.0, 0.3):
        path = fit_lasso_path(X, y, n_alphas=6, l1_ratio=l1_ratio, standardize=False, tolerance=1e-9)
        alphas = [fit.strength for fit in path.fits]
        assert alphas == sorted(alphas, reverse=True)
        _, coefs, _ = enet_path(centred, target, alphas=alphas, l1_ratio=l1_ratio, tol=1e-12, max_iter=10**5)
        for fit, coef in zip(path.fits, coefs.T, strict=True):
            assert dense_coef(fit, 20) == pytest.approx(coef, abs=3e-5)
            residual = y - X[:, fit.support] @ fit.coef - fit.intercept
            penalty = l1_ratio * np.abs(fit.coef).sum() + (1 - l1_ratio) / 2 * fit.coef @ fit.coef
            assert fit.objective == pytest.approx(residual @ residual / 2 / len(y) + fit.strength * penalty, rel=1e-11)
            assert fit.gap <= 1e-9


def test_gap_bounds_the_distance_to_the_minimum():
    X, y = correlated(200, 60, seed=3)
    C = fit_l1_path(X, y, n_Cs=1).null_strength * 30
    (best,) = fit_l1_path(X, y, [C], tolerance=1e-12).fits
    for steps in range(6):
        (early,) = fit_l1_path(X, y, [C], max_iter=steps).fits
        assert early.objective * (1 - early.gap) <= best.objective * (1 + 1e-12) <= early.objective * (1 + 2e-12)
        assert early.converged == (early.gap <= 1e-6)
    (hurried,) = fit_l1_path(X, y, [C], max_iter=1).fits
    assert not hurried.converged
    assert "above 1e-6" in hurried.status


def test_null_strength_is_where_the_first_neuron_enters():
    X, y = correlated(300, 20)
    null = fit_l1_path(X, y, n_Cs=1).null_strength
    below, above = fit_l1_path(X, y, [null * 0.999999, null * 1.0001], tolerance=1e-12).fits
    assert (below.density, above.density) == (0, 1)
    assert below.intercept == pytest.approx(0, abs=1e-12)  # balanced classes
    unbalanced = fit_l1_path(X, y, [1e-9], class_weight="none").fits[0]
    assert unbalanced.intercept == pytest.approx(np.log((y > 0).sum() / (y < 0).sum()))
    target = X[:, 0] + y
    null = fit_lasso_path(X, target, n_alphas=1).null_strength
    assert null == pytest.approx(np.abs(standardised(X).T @ (target - target.mean())).max() / len(y))


@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (30, 30)])
def test_any_shape_converges(shape):
    X, y = correlated(*shape, noise=3)
    for fit in (*fit_l1_path(X, y).fits, *fit_lasso_path(X, X[:, 0] + y).fits):
        assert fit.gap <= 1e-6
        assert fit.density <= min(shape[0], shape[1])


def test_duplicated_constant_and_badly_scaled_columns_converge():
    X, y = correlated(150, 30)
    X[:, 3], X[:, 4], X[:, 5], X[:, 6] = X[:, 0], 3.3, X[:, 5] * 1e5, X[:, 6] + 1e5
    clean, _ = correlated(150, 30)
    clean = np.delete(clean, [3, 4], axis=1)
    for standardize in (True, False):
        hard = fit_l1_path(X, y, n_Cs=8, standardize=standardize)
        assert all(fit.converged for fit in hard.fits)
        assert not any(4 in fit.support for fit in hard.fits)
    # A copy of a column and a constant one change no minimum.
    hard, easy = fit_l1_path(X, y, n_Cs=8), fit_l1_path(clean, y, n_Cs=8)
    for a, b in zip(hard.fits, easy.fits, strict=True):
        assert a.objective == pytest.approx(b.objective, rel=1e-6)


def test_separable_data_is_reported():
    X, y = correlated(60, 100, noise=0.0)
    path = fit_l1_path(X, y, [1e-3, 1e3, 1e6])
    assert path.fits[0].status == "Converged."
    assert path.fits[2].status == SEPARATED
    assert np.isfinite(path.fits[2].coef).all()
    assert (y * path.scores(X)[:, 2] > 0).all()


def test_badly_scaled_columns_converge_from_afar():
    X, y = correlated(40, 60, noise=2)
    X *= 10.0 ** np.random.default_rng(0).integers(-4, 5, 60)
    for standardize in (True, False):
        null = fit_l1_path(X, y, n_Cs=1, standardize=standardize).null_strength
        (fit,) = fit_l1_path(X, y, [1e4 * null], standardize=standardize).fits
        assert fit.gap <= 1e-6


def test_max_support_ends_the_path():
    X, y = correlated(300, 60, noise=3)
    whole = fit_l1_path(X, y, n_Cs=12)
    ended = fit_l1_path(X, y, n_Cs=12, max_support=10)
    assert 0 < len(ended.fits) < len(whole.fits)
    assert max(fit.density for fit in ended.fits) <= 10 < whole.fits[len(ended.fits)].density
    with pytest.raises(ProbeError, match="Start with a stronger penalty"):
        fit_l1_path(X, y, [1.0], max_support=2)


def test_elastic_net_with_little_l1_nears_the_ridge_probe():
    X, y = correlated(300, 20)
    (fit,) = fit_l1_path(X, y, [1.0], l1_ratio=1e-6, standardize=False, tolerance=1e-9).fits
    ridge = fit_dense(X, y)
    assert dense_coef(fit, 20) == pytest.approx(ridge.coef, abs=1e-4)


def test_precision_and_memory_order_do_not_matter():
    X, y = correlated(300, 20)
    X = X.astype(np.float16)
    one = fit_l1_path(X, y, n_Cs=3)
    for other in (X.astype(np.float32), np.asfortranarray(X.astype(np.float64)), np.repeat(X, 2, axis=1)[:, ::2]):
        for a, b in zip(one.fits, fit_l1_path(other, y, n_Cs=3).fits, strict=True):
            assert a.objective == pytest.approx(b.objective, rel=1e-9)
            assert a.coef == pytest.approx(b.coef)


def test_planted_neurons_are_found_and_shuffled_labels_find_less():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 80))
    y = np.where(X[:, 11] - X[:, 47] + 0.3 * rng.standard_normal(400) > 0, 1, -1)
    planted = fit_l1_path(X, y, n_Cs=10, max_support=4)
    assert planted.fits[-1].support[:2].tolist() == [11, 47]
    control = fit_l1_path(X, shuffled_labels(y, np.arange(400), rng), n_Cs=10)
    assert control.null_strength > 3 * planted.null_strength


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([0.3, 1.0]))
def test_laws(seed, l1_ratio):
    rng = np.random.default_rng(seed)
    X, y = correlated(80, 25, seed, noise=2)
    order, scale = rng.permutation(25), 10.0 ** rng.integers(-3, 4, 25)
    path = fit_l1_path(X, y, n_Cs=4, l1_ratio=l1_ratio, tolerance=1e-9)
    Cs = [fit.strength for fit in path.fits]
    moved = fit_l1_path(X[:, order] * scale, y, Cs, l1_ratio=l1_ratio, tolerance=1e-9)
    flipped = fit_l1_path(X, -y, Cs, l1_ratio=l1_ratio, tolerance=1e-9)
    twice = fit_l1_path(np.vstack([X, X]), np.append(y, y), [C / 2 for C in Cs], l1_ratio=l1_ratio, tolerance=1e-9)
    for fit, a, b, c in zip(path.fits, moved.fits, flipped.fits, twice.fits, strict=True):
        coef = dense_coef(fit, 25)
        for other in (a, b, c):
            assert other.objective == pytest.approx(fit.objective, rel=1e-8)
        assert dense_coef(a, 25) * scale == pytest.approx(coef[order], abs=1e-3)
        assert dense_coef(b, 25) == pytest.approx(-coef, abs=1e-3)
        assert dense_coef(c, 25) == pytest.approx(coef, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"l1_ratio": 0.0}, "l1_ratio is 0.0"),
        ({"tolerance": 0.0}, "The tolerance is 0.0"),
        ({"Cs": [1.0, -1.0]}, "positive numbers"),
        ({"Cs": []}, "positive numbers"),
        ({"max_support": -1}, "max_support is -1"),
    ],
)
def test_bad_arguments(change, match):
    X, y = correlated(300, 20)
    with pytest.raises(ProbeError, match=match):
        fit_l1_path(X, y, **change)


def test_bad_data():
    X, y = correlated(300, 20)
    with pytest.raises(ProbeError, match=r"All 300 labels are \+1"):
        fit_l1_path(X, np.ones(300))
    with pytest.raises(ProbeError, match="All 20 neurons are constant"):
        fit_l1_path(np.full_like(X, 0.1), y)
    with pytest.raises(ProbeError, match=r"All 300 targets are 2.0"):
        fit_lasso_path(X, np.full(300, 2.0))
    X[7, 3] = np.nan
    with pytest.raises(ProbeError, match="Row 7, column 3 is nan"):
        fit_l1_path(X, y)
