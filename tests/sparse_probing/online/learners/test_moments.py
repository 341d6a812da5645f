"""Sums over batches give the least squares and discriminants of scikit-learn, in any order and from any processes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.covariance import ShrunkCovariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.learners import moments as module
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.moments import DEFAULT_RIDGE, Moments, MomentsSettings

D = 24
SETS = (
    LabelSet("binary", "binary"),
    LabelSet("classes", "multiclass", ("a", "b", "c", "d")),
    LabelSet("number", "regression"),
)


def made_rows(n=700, seed=0, nulls=0.0, d=D):
    """Return correlated float32 rows (n, d) of different scales and far from 0, and labels (n, 3) of the three sets."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    X = rng.standard_normal((n, 5)) @ fixed.standard_normal((5, d)) + rng.standard_normal((n, d))
    scores = X @ fixed.standard_normal((d, 6)) + 6 * rng.standard_normal((n, 6))
    labels = np.stack(
        [np.where(scores[:, 0] > 4, 1, -1), scores[:, 1:5].argmax(axis=1), scores[:, 5] + 100], axis=1
    ).astype(np.float64)
    labels[rng.random(labels.shape) < nulls] = np.nan
    return torch.from_numpy((X * np.geomspace(0.1, 10, d) + 30).astype(np.float32)), torch.from_numpy(labels)


def learned(X, labels, batches=7, sets=SETS, **options):
    learner = Moments(X.shape[1], sets, MomentsSettings(**options), "cpu")
    for rows, batch_labels in zip(X.chunk(batches), labels.chunk(batches), strict=True):
        learner.update(rows, batch_labels)
    return learner


def finished(learner, seed=5):
    return learner.finish(*made_rows(300, seed))


@pytest.mark.parametrize("scaling", ["rms", "unit"])
@pytest.mark.parametrize("ridge", [1e-5, 1e-2, 1.0])
def test_regression_is_the_ridge_of_scikit_learn(scaling, ridge):
    X, labels = made_rows()
    fit = finished(learned(X, labels, scaling=scaling, ridges=(ridge,)))[2]
    x, y = X.numpy().astype(np.float64), labels[:, 2].numpy()
    scale = x.std(axis=0) if scaling == "unit" else np.full(D, np.sqrt(x.var(axis=0).mean()))
    reference = Ridge(alpha=ridge * len(x), solver="svd").fit((x - x.mean(axis=0)) / scale, y)
    np.testing.assert_allclose(fit.coef[0], reference.coef_ / scale, rtol=1e-7, atol=1e-9)
    expected = reference.predict((x - x.mean(axis=0)) / scale)
    np.testing.assert_allclose(fit.scores(x)[:, 0], expected, rtol=1e-8)
    assert fit.status == "Exact for squared loss."
    assert fit.converged


@pytest.mark.parametrize("class_weight", ["balanced", "none"])
@pytest.mark.parametrize("ridge", [1e-4, 0.3])
def test_classes_are_the_discriminants_of_scikit_learn(class_weight, ridge):
    X, labels = made_rows()
    fits = finished(learned(X, labels, ridges=(ridge,), class_weight=class_weight))
    x = X.numpy().astype(np.float64)
    scale = np.sqrt(x.var(axis=0).mean())
    for s in (0, 1):
        y = labels[:, s].numpy().astype(int)
        classes, counts = np.unique(y, return_counts=True)

        class WithRidge(ShrunkCovariance):
            """The covariance within a class of rows of unit variance, and the ridge."""

            def fit(self, rows, y=None):
                self.covariance_ = np.cov(rows.T, bias=True) + ridge * np.eye(D)
                return self

        priors = np.full(len(classes), 1 / len(classes)) if class_weight == "balanced" else counts / len(y)
        # scikit-learn weighs the covariances of classes by priors, so that balanced ones need another reference.
        means = np.stack([x[y == c].mean(axis=0) for c in classes]) / scale
        z = x / scale
        within = sum(n / len(y) * np.cov(z[y == c].T, bias=True) for c, n in zip(classes, counts, strict=True))
        inverse = np.linalg.inv(within + ridge * np.eye(D))
        expected = z @ inverse @ means.T - ((means @ inverse) * means).sum(axis=1) / 2 + np.log(priors)
        if class_weight == "none":
            lda = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=WithRidge()).fit(z, y)
            posterior = np.log(lda.predict_proba(z))
            np.testing.assert_allclose(log_softmax(expected, axis=1), posterior, rtol=1e-6, atol=1e-6)
        scores = fits[s].scores(x)
        if s == 0:
            np.testing.assert_allclose(scores[:, 0], expected[:, 1] - expected[:, 0], rtol=1e-7, atol=1e-7)
        else:
            difference = log_softmax(scores, axis=1) - log_softmax(expected, axis=1)
            np.testing.assert_allclose(difference, 0, atol=1e-7)


def test_two_classes_have_the_direction_of_least_squares_on_their_codes():
    X, labels = made_rows()
    codes = labels.clone()
    codes[:, 2] = labels[:, 0]
    fits = finished(learned(X, codes, ridges=(1e-2,)))
    cosine = fits[0].coef[0] @ fits[2].coef[0]
    cosine /= np.linalg.norm(fits[0].coef) * np.linalg.norm(fits[2].coef)
    assert cosine == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_sums_of_nulls_are_those_of_each_set_without_them(nulls):
    X, labels = made_rows(nulls=nulls)
    fits = finished(learned(X, labels))
    for s, each in enumerate(SETS):
        is_labelled = ~labels[:, s].isnan()
        alone = Moments(D, [each], MomentsSettings(), "cpu")
        alone.update(X[is_labelled], labels[is_labelled][:, [s]])
        rows, held_out = made_rows(300, 5)
        (fit,) = alone.finish(rows, held_out[:, [s]])
        assert fit.regularization == fits[s].regularization
        np.testing.assert_allclose(fit.coef, fits[s].coef, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.intercept, fits[s].intercept, rtol=1e-8, atol=1e-9)


def test_sets_that_agree_share_a_matrix_until_they_differ():
    X, labels = made_rows(300)
    learner = learned(X, labels)
    learner.scores(X[:1])
    assert learner.state()["grams"].shape == (1, D, D)
    labels[-10:, 1] = torch.nan
    learner = learned(X, labels)
    learner.scores(X[:1])
    assert learner.state()["grams"].shape == (2, D, D)
    assert sorted(learner.state()["n"]) == [290, 300]
    n_bytes = sum(learner.state()[name].nbytes for name in ("grams", "sums", "class_sums"))
    assert Moments.memory(D, SETS, labels.numpy()) == n_bytes + 4 * module.BUFFERED_ROWS * D


def relative_difference(first, second):
    return max(np.abs(a.coef - b.coef).max() / np.abs(a.coef).max() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_processes_add_up(nulls):
    X, labels = made_rows(nulls=nulls)
    whole = finished(learned(X, labels))
    parts = [learned(X[r::3], labels[r::3], batches=4) for r in range(3)]
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    merged = finished(parts[0])
    assert relative_difference(whole, merged) < 1e-10
    empty = Moments(D, SETS, MomentsSettings(), "cpu")
    empty.merge(learned(X, labels))
    assert relative_difference(whole, finished(empty)) == 0


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_the_order_and_the_size_of_batches_do_not_count(seed, batches):
    X, labels = made_rows(400, nulls=0.2, d=D)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(X)))
    whole = finished(learned(X, labels, 1, ridges=(1e-2,)))
    assert relative_difference(whole, finished(learned(X[order], labels[order], batches, ridges=(1e-2,)))) < 1e-9


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_resumed_pass_gives_the_same_bits(monkeypatch, at):
    monkeypatch.setattr(module, "BUFFERED_ROWS", 150)  # at a checkpoint some rows wait
    X, labels = made_rows(nulls=0.2)
    batches = list(zip(X.chunk(9), labels.chunk(9), strict=True))
    whole, first = (Moments(D, SETS, MomentsSettings(), "cpu") for _ in range(2))
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:at]:
        first.update(*batch)
    resumed = Moments(D, SETS, MomentsSettings(), "cpu")
    resumed.load(first.state())
    for batch in batches[at:]:
        resumed.update(*batch)
    for a, b in zip(finished(whole), finished(resumed), strict=True):
        np.testing.assert_array_equal(a.coef, b.coef)
        np.testing.assert_array_equal(a.intercept, b.intercept)


def test_gradients_are_not_needed():
    X, labels = made_rows(nulls=0.2)
    whole = finished(learned(X, labels))
    with torch.inference_mode():  # as in a pass of the model; the rest of the work is done outside
        learner = learned(X[:600].clone(), labels[:600].clone())
    learner.update(X[600:], labels[600:])
    learner.merge(Moments(D, SETS, MomentsSettings(), "cpu"))
    assert relative_difference(whole, finished(learner)) < 1e-9


def test_a_class_that_first_appears_late_is_not_predicted_before_and_counts_after():
    X, labels = made_rows(600)
    order = torch.argsort((labels[:, 1] == 3).int(), stable=True)
    X, labels = X[order], labels[order]
    n_before = int((labels[:, 1] != 3).sum())
    late = learned(X[:n_before], labels[:n_before])
    assert not (late.scores(X)[:, 1:5].argmax(1) == 3).any()
    late.update(X[n_before:], labels[n_before:])
    assert relative_difference(finished(late), finished(learned(X, labels))) < 1e-9


def test_present_scores_are_those_of_the_default_ridge():
    X, labels = made_rows(nulls=0.2)
    learner = learned(X, labels, ridges=(DEFAULT_RIDGE,))
    expected = np.hstack([fit.scores(X) for fit in finished(learned(X, labels, ridges=(DEFAULT_RIDGE,)))])
    np.testing.assert_allclose(learner.scores(X).numpy(), expected, rtol=1e-8, atol=1e-8)
    learner.update(X[:1], torch.tensor([[1.0, 2.0, 50.0]]).double())
    assert not np.allclose(learner.scores(X).numpy(), expected, rtol=1e-8)


def test_the_ridge_is_chosen_on_validation_rows():
    # Hardly more rows than neurons, and targets with noise: the smallest ridge fits the noise.
    X, labels = made_rows(70, d=60)
    rows, held_out = made_rows(400, 5, d=60)
    chosen, smallest = (
        learned(X, labels, ridges=ridges).finish(rows, held_out) for ridges in (module.RIDGES, module.RIDGES[:1])
    )
    test_rows, test_labels = made_rows(800, 6, d=60)
    for s in range(3):
        assert chosen[s].regularization > module.RIDGES[0]
        target, errors = test_labels[:, s].numpy(), []
        for fit in (chosen[s], smallest[s]):
            scores = fit.scores(test_rows)
            if s == 0:
                errors.append(1 - roc_auc_score(target, scores[:, 0]))
            else:
                wrong = np.square(scores[:, 0] - target) if s == 2 else scores.argmax(axis=1) != target
                errors.append(wrong.mean())
        assert errors[0] < errors[1]


def test_a_device_without_float64_adds_in_float32_and_solves_in_float64(monkeypatch):
    X, labels = made_rows(nulls=0.1)
    exact = finished(learned(X, labels, ridges=(1e-2,)))
    monkeypatch.setattr(module, "dtype_of_sums", lambda device: torch.float32)
    learner = learned(X, labels, ridges=(1e-2,))
    fits = finished(learner)
    assert learner.state()["grams"].dtype == np.float32
    assert fits[0].coef.dtype == np.float64
    assert relative_difference(exact, fits) < 1e-3


def test_constant_neurons_have_no_coefficients():
    X, labels = made_rows()
    X[:, 3], X[:, 5] = 0.1, 0
    for scaling in ("rms", "unit"):
        for fit in finished(learned(X, labels, scaling=scaling)):
            assert not fit.coef[:, [3, 5]].any()
            assert fit.coef[:, 4].all()


def test_three_hundred_classes_and_one_text_per_batch():
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(300), rng.integers(0, 300, 1500)])
    centres = rng.standard_normal((300, 40))
    X = torch.from_numpy((centres[codes] + 0.3 * rng.standard_normal((1800, 40))).astype(np.float32))
    labels = torch.from_numpy(codes.astype(np.float64))[:, None]
    learner = Moments(40, [LabelSet("many", "multiclass", tuple(map(str, range(300))))], MomentsSettings(), "cpu")
    for i in range(1200):
        learner.update(X[i : i + 1], labels[i : i + 1])
    (fit,) = learner.finish(X[1200:1500], labels[1200:1500])
    assert fit.coef.shape == (300, 40)
    assert (fit.scores(X[1500:]).argmax(axis=1) == codes[1500:]).mean() > 0.97


def test_shuffled_labels_are_not_learned():
    X, labels = made_rows()
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    rows, held_out = made_rows(2000, 5)
    fit, control = (learned(X, each).finish(rows, held_out)[1] for each in (labels, shuffled))
    hits, chance_hits = ((each.scores(rows).argmax(axis=1) == held_out[:, 1].numpy()).mean() for each in (fit, control))
    assert hits > 0.5
    assert chance_hits < 0.35


def test_what_cannot_be_learned_is_named():
    X, labels = made_rows(50)
    labels[:, 0] = -1
    with pytest.raises(ProbeError, match="label set 'binary' have 1 classes"):
        finished(learned(X, labels))
    labels[:, 0] = torch.nan
    with pytest.raises(ProbeError, match="label set 'binary' have 0 classes"):
        finished(learned(X, labels))
    assert not learned(X, labels).scores(X)[:, 0].any()
    assert not Moments(D, SETS, MomentsSettings(), "cpu").scores(X).diff(dim=0).any()
    with pytest.raises(ProbeError, match="different widths or label sets"):
        learned(X, labels).merge(Moments(D, SETS[1:], MomentsSettings(), "cpu"))


def test_validation_rows_of_one_class_leave_the_default_ridge():
    X, labels = made_rows()
    rows, held_out = made_rows(100, 5)
    held_out[:, 0] = 1
    fits = learned(X, labels).finish(rows, held_out)
    assert fits[0].regularization == DEFAULT_RIDGE
    assert "do not have two classes" in fits[0].status
    assert fits[1].status == "Exact for squared loss."
