"""AdamW takes the steps of torch's AdamW, averages them, and comes near the converged fit in one pass over the rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from sparse_probing.online.learners import adamw as module
from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.averaged_adamw import BETAS, EPSILON, AdamWSettings, RunningScale
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.losses import SetLosses

D = 20
SETS = (
    LabelSet("binary", "binary"),
    LabelSet("classes", "multiclass", ("a", "b", "c", "d")),
    LabelSet("number", "regression"),
)


def made_rows(n=4000, seed=0, nulls=0.0, noise=1.0):
    """Return correlated float32 rows (n, d) of different scales and far from 0, and labels (n, 3) of the three sets."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    factors = rng.standard_normal((n, 5))
    X = factors @ fixed.standard_normal((5, D)) + rng.standard_normal((n, D))
    scores = 2 * factors @ fixed.standard_normal((5, 6)) + noise * rng.standard_normal((n, 6))
    labels = np.stack(
        [np.where(scores[:, 0] > 3, 1, -1), scores[:, 1:5].argmax(axis=1), scores[:, 5] + 1900], axis=1
    ).astype(np.float64)
    labels[rng.random(labels.shape) < nulls] = np.nan
    return torch.from_numpy((X * np.geomspace(0.5, 3, D) + 10).astype(np.float32)), torch.from_numpy(labels)


def learned(X, labels, sets=SETS, batches=16, **settings):
    learner = AdamW(D, sets, AdamWSettings.of_pass(sets, labels.numpy(), **settings), "cpu")
    for rows, batch_labels in zip(X.chunk(batches), labels.chunk(batches), strict=True):
        learner.update(rows, batch_labels)
    return learner


@pytest.mark.parametrize("scaling", ["rms", "unit"])
def test_steps_are_those_of_torch(monkeypatch, scaling):
    """Torch's own AdamW and schedule on rows that are scaled beforehand, and the average of the second half."""
    X, labels = made_rows(1280)
    monkeypatch.setattr(module, "SCALED_BY", 1e-9)  # measured on the first batch only, so that the scale is known
    rate, decay = 0.02, 0.3
    learner = learned(X, labels, candidates=((rate, decay),), class_weight="none", batches=10, scaling=scaling)
    first, targets = X[:128].double(), labels[:128, 2]
    deviation = first.std(0, correction=0)
    deviation = deviation if scaling == "unit" else deviation.square().mean().sqrt().expand(D)
    Z = ((X - first.mean(0)) / deviation).double()
    scaled = labels.clone()
    scaled[:, 2] = (labels[:, 2] - targets.mean()) / targets.std(correction=0)
    weights = torch.zeros(D, 6, dtype=torch.float64, requires_grad=True)
    intercept = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [weights]}, {"params": [intercept], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=BETAS, eps=EPSILON, weight_decay=decay)
    averaged = []
    for step in range(10):
        rows = slice(128 * step, 128 * (step + 1))
        progress = 128 * step / 1280
        for group in optimizer.param_groups:
            group["lr"] = rate * min((progress + 1 / 1280) / 0.05, 1) * (1 - progress)
        scores = Z[rows] @ weights + intercept
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores[:, 0], (scaled[rows, 0] + 1) / 2)
        loss = loss + torch.nn.functional.cross_entropy(scores[:, 1:5], scaled[rows, 1].long())
        loss = loss + torch.nn.functional.mse_loss(scores[:, 5], scaled[rows, 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress >= 0.5:
            averaged.append(torch.cat([weights, intercept[None]]).detach().clone())
    expected = torch.stack(averaged).mean(0)
    # The first gradient of the intercept of scaled targets is 0 up to rounding, which Adam does not forget.
    torch.testing.assert_close(learner.optimizer.average.double(), expected, rtol=1e-3, atol=3e-4)
    scores = Z @ expected[:-1] + expected[-1]
    scores[:, 5] = scores[:, 5] * targets.std(correction=0) + targets.mean()
    torch.testing.assert_close(learner.scores(X).double(), scores, rtol=1e-3, atol=5e-3)


def test_one_pass_comes_near_the_converged_fit():
    X, labels = made_rows(20_000, nulls=0.1)
    held_out, test = made_rows(1000, 5), made_rows(4000, 6)
    fits = learned(X, labels, batches=40).finish(*held_out)
    x, y = test[0].numpy(), test[1].numpy()
    assert [fit.status for fit in fits] == ["Stopped, not converged."] * 3
    for s in range(3):
        is_labelled = ~labels[:, s].isnan().numpy()
        rows, target = X.numpy()[is_labelled], labels[:, s].numpy()[is_labelled]
        if s == 2:
            reference = Ridge(alpha=1.0).fit(rows, target)
            errors = [np.square(pred - y[:, 2]).mean() for pred in (reference.predict(x), fits[2].scores(x)[:, 0])]
            assert errors[1] < 1.03 * errors[0]
        else:
            reference = LogisticRegression(class_weight="balanced", max_iter=500).fit(rows - 10, target)
            scores = fits[s].scores(x)
            predicted = np.where(scores[:, 0] > 0, 1, -1) if s == 0 else scores.argmax(axis=1)
            accuracy, converged = (predicted == y[:, s]).mean(), (reference.predict(x - 10) == y[:, s]).mean()
            assert converged > 0.75
            assert accuracy > converged - 0.01


def test_a_label_set_is_not_changed_by_the_others_or_by_rows_without_labels():
    X, labels = made_rows(1500)
    together = learned(X, labels, batches=6).finish(*made_rows(300, 5))
    for s, each in enumerate(SETS):
        rows, held_out = made_rows(300, 5)
        (alone,) = learned(X, labels[:, [s]], [each], batches=6).finish(rows, held_out[:, [s]])
        np.testing.assert_allclose(alone.coef, together[s].coef, rtol=1e-3, atol=1e-5)
    half = labels.clone()
    half[::2, 0] = torch.nan
    poisoned = X.clone()
    poisoned[::2] = X[::2].flip(1)  # other rows where set 0 has no labels
    settings = AdamWSettings.of_pass(SETS, half.numpy())
    first, second = AdamW(D, SETS, settings, "cpu"), AdamW(D, SETS, settings, "cpu")
    for learner in (first, second):
        learner.scale.update(X)
        learner.optimizer.rows_seen = int(0.3 * settings.n_rows)  # the scale stays
    first.update(X, half)
    second.update(poisoned, half)
    torch.testing.assert_close(first.optimizer.weights[:, ::6], second.optimizer.weights[:, ::6], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(first.optimizer.weights[:, 5], second.optimizer.weights[:, 5], rtol=1e-2)


@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_resumed_pass_gives_the_same_bits(at):
    X, labels = made_rows(1500, nulls=0.2)
    batches = list(zip(X.chunk(11), labels.chunk(11), strict=True))
    settings = AdamWSettings.of_pass(SETS, labels.numpy())
    whole, first, resumed = (AdamW(D, SETS, settings, "cpu") for _ in range(3))
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:at]:
        first.update(*batch)
    resumed.load(first.state())
    for batch in batches[at:]:
        resumed.update(*batch)
    for a, b in zip(whole.finish(*made_rows(200, 5)), resumed.finish(*made_rows(200, 5)), strict=True):
        np.testing.assert_array_equal(a.coef, b.coef)
        np.testing.assert_array_equal(a.intercept, b.intercept)


def test_the_generator_of_torch_is_not_used_and_gradients_are_not_needed():
    X, labels = made_rows(300)
    state = torch.get_rng_state()
    with torch.inference_mode():
        inside = learned(X.clone(), labels.clone(), batches=3)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(inside.optimizer.weights, learned(X, labels, batches=3).optimizer.weights)


def test_validation_rows_choose_the_candidate():
    X, labels = made_rows(2000)
    rows, held_out = made_rows(500, 5)
    candidates = ((1e-7, 0.0), (1e-2, 0.01))
    learner = learned(X, labels, candidates=candidates)
    assert [fit.regularization for fit in learner.finish(rows, held_out)] == [0.01] * 3
    held_out[:, 0] = 1
    held_out[:, 2] = torch.nan
    fits = learner.finish(rows, held_out)
    assert [fit.regularization for fit in fits] == [0.0, 0.01, 0.0]
    expected = learned(X, labels, candidates=candidates[:1]).scores(rows)
    np.testing.assert_allclose(fits[0].scores(rows)[:, 0], expected[:, 0], atol=1e-5)


def test_balanced_classes_weigh_the_same():
    X, labels = made_rows(6000)
    labels[:, 0] = torch.where(X[:, 0] > X[:, 0].quantile(0.95), 1.0, -1.0)
    balanced, plain = (learned(X, labels, class_weight=weight).scores(X)[:, 0] for weight in ("balanced", "none"))
    assert (balanced > 0).float().mean() > 1.5 * (plain > 0).float().mean()


def test_running_scale_is_the_mean_and_deviation_of_all_rows():
    X, labels = made_rows(500, nulls=0.4)
    scale, masked = RunningScale(D, torch.device("cpu")), RunningScale(3, torch.device("cpu"))
    for rows, targets in zip(X.split(70), labels.float().split(70), strict=True):
        scale.update(rows)
        masked.update(targets, ~targets.isnan())
    torch.testing.assert_close(scale.mean, X.mean(0))
    torch.testing.assert_close(scale.deviation(common=False), X.std(0, correction=0))
    torch.testing.assert_close(scale.deviation(common=True)[0], X.var(0, correction=0).mean().sqrt())
    np.testing.assert_allclose(masked.mean, np.nanmean(labels, axis=0), rtol=1e-5)
    np.testing.assert_allclose(masked.deviation(common=False), np.nanstd(labels, axis=0), rtol=1e-4)
    constant = RunningScale(1, torch.device("cpu"))
    constant.update(torch.full((5, 1), 3.0))
    assert constant.deviation(common=False).item() == 1


def test_shuffled_labels_are_not_learned():
    X, labels = made_rows(4000)
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    rows, held_out = made_rows(2000, 5)
    accuracy, chance = (
        (learned(X, each).finish(rows, held_out)[1].scores(rows).argmax(axis=1) == held_out[:, 1].numpy()).mean()
        for each in (labels, shuffled)
    )
    assert accuracy > 0.7
    assert chance < 0.35


def test_one_row_three_hundred_classes_and_a_class_that_first_appears_late():
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.sort(rng.integers(0, 300, 9000)), rng.integers(0, 299, 3000)])
    centres = 3 * rng.standard_normal((300, D))
    X = torch.from_numpy((centres[codes] + rng.standard_normal((len(codes), D))).astype(np.float32))
    order = torch.from_numpy(np.concatenate([rng.permutation(8900), np.arange(8900, 9000)]))
    labels = torch.from_numpy(codes.astype(np.float64))[:, None]
    sets = [LabelSet("many", "multiclass", tuple(map(str, range(300))))]
    settings = AdamWSettings.of_pass(sets, labels[:9000].numpy(), candidates=((3e-2, 0.01),))
    learner = AdamW(D, sets, settings, "cpu")
    learner.update(X[:1], labels[:1])
    assert learner.optimizer.weights.isfinite().all()
    for part in order.split(500):
        learner.update(X[part], labels[part])
    assert learner.optimizer.weights.isfinite().all()
    scores = learner.scores(X[9000:])
    assert (scores.argmax(1).numpy() == codes[9000:]).mean() > 0.6
    losses = SetLosses(sets, "cpu")
    assert losses.losses(scores, labels[9000:]) < 0.5 * np.log(300)


def test_settings_count_rows_and_classes():
    _, labels = made_rows(100, nulls=0.5)
    settings = AdamWSettings.of_pass(SETS, labels.numpy(), epochs=3)
    assert settings.n_rows == 300
    assert settings.class_counts[0] == (labels[:, 0] == -1).sum()
    assert settings.class_counts[2] == (labels[:, 1] == 0).sum()
    assert settings.class_counts[6] == (~labels[:, 2].isnan()).sum()
    assert replace(settings, n_rows=5).class_counts == settings.class_counts
