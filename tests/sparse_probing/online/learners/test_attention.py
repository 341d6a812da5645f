"""Attention learns what torch's own gradients learn, starts as the mean, and finds a token that the mean misses."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sparse_probing.online.learners import attention as module
from sparse_probing.online.learners.attention import Attention, AttentionSettings
from sparse_probing.online.learners.averaged_adamw import BETAS, EPSILON
from sparse_probing.online.learners.label_sets import LabelSet

D = 12
SETS = (
    LabelSet("binary", "binary"),
    LabelSet("classes", "multiclass", ("a", "b", "c")),
    LabelSet("number", "regression"),
)


def planted(n=400, seed=0, strength=6.0, pad=np.nan, left=False):
    """Texts of 5 to 20 noisy tokens; one token of a positive text is large in direction 0, and of class c in c + 1."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 21, n)
    mask = np.arange(20) < lengths[:, None]
    X = rng.normal(size=(n, 20, D)).astype(np.float32)
    y, c = np.where(rng.random(n) < 0.4, 1.0, -1.0), rng.integers(0, 3, n)
    hit, other = rng.integers(0, lengths), rng.integers(0, lengths)
    X[np.arange(n), hit, 0] += strength * (y > 0)
    X[np.arange(n), other, c + 1] += strength
    X += 5
    number = np.array([x[m].mean(axis=0)[5] for x, m in zip(X, mask, strict=True)]) * 100
    X[~mask] = pad
    if left:
        X, mask = X[:, ::-1].copy(), mask[:, ::-1].copy()
    labels = np.stack([y, c, number], axis=1)
    return torch.from_numpy(X), torch.from_numpy(mask), torch.from_numpy(labels)


def learned(texts, sets=SETS, epochs=1, batch=32, **settings):
    labels = texts[2]
    learner = Attention(D, sets, AttentionSettings.of_pass(sets, labels.numpy(), epochs, **settings), "cpu")
    for _ in range(epochs):
        for part in zip(*(each.split(batch) for each in texts), strict=True):
            learner.update(*part)
    return learner


def score_by_definition(fit, X, mask):
    scores = []
    for x, is_token in zip(X.numpy().astype(np.float64), mask.numpy(), strict=True):
        score = fit.intercept.copy()
        for query, values in zip(fit.queries, fit.values, strict=True):
            weights = np.exp([query @ token for token in x[is_token]] - max(query @ token for token in x[is_token]))
            score = score + values @ (weights @ x[is_token]) / weights.sum()
        scores.append(score)
    return np.array(scores)


@pytest.mark.parametrize("n_heads", [1, 3])
def test_scores_equal_their_definition(n_heads):
    texts = planted()
    learner = learned(texts, n_heads=n_heads, candidates=((1e-2, 0.01),))
    fits = learner.finish([planted(100, 5)])
    X, mask, _ = planted(30, 6)
    expected = np.hstack([score_by_definition(fit, X, mask) for fit in fits])
    np.testing.assert_allclose(np.hstack([fit.scores(X, mask) for fit in fits]), expected, rtol=1e-9)
    np.testing.assert_allclose(learner.scores(X, mask), expected, rtol=1e-3, atol=1e-3)
    assert [fit.values.shape for fit in fits] == [(n_heads, 1, D), (n_heads, 3, D), (n_heads, 1, D)]


@pytest.mark.parametrize("n_heads", [1, 2])
def test_steps_are_those_of_torch(monkeypatch, n_heads):
    """Gradients of torch through the definition, on tokens that are scaled beforehand."""
    monkeypatch.setattr(module, "SCALED_BY", 1e-9)
    X, mask, labels = planted(160, pad=0.0)
    rate, decay, n = 0.05, 0.1, 16
    learner = learned(
        (X, mask, labels), batch=n, n_heads=n_heads, candidates=((rate, decay),), class_weight="none", scaling="unit"
    )
    first = X[:n][mask[:n]].double()
    Z = (X.double() - first.mean(0)) / first.std(0, correction=0)
    target = (labels[:, 2] - labels[:n, 2].mean()) / labels[:n, 2].std(correction=0)
    start = Attention(
        D, SETS, AttentionSettings.of_pass(SETS, labels.numpy(), n_heads=n_heads, candidates=((rate, decay),)), "cpu"
    ).optimizer.weights.double()
    queries = start[:-1, : 3 * n_heads].clone().requires_grad_()
    values = start[:-1, 3 * n_heads :].clone().requires_grad_()
    intercept = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [queries, values]}, {"params": [intercept], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=BETAS, eps=EPSILON, weight_decay=decay)
    for step in range(10):
        rows = slice(n * step, n * (step + 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step / 10 + 1 / 160) / 0.05, 1) * (1 - step / 10)
        weights = (Z[rows] @ queries).masked_fill(~mask[rows][..., None], -torch.inf).softmax(1)
        pooled = torch.einsum("nth,ntd->nhd", weights, Z[rows])
        scores, column = [], 0
        for s, k in enumerate((1, 3, 1)):
            v = values[:, column : column + k * n_heads].T.reshape(n_heads, k, D)
            scores.append(torch.einsum("nhd,hkd->nk", pooled[:, s * n_heads : (s + 1) * n_heads], v))
            column += k * n_heads
        scores = torch.cat(scores, dim=1) + intercept
        functional = torch.nn.functional
        loss = functional.binary_cross_entropy_with_logits(scores[:, 0], (labels[rows, 0] + 1) / 2)
        loss = loss + functional.cross_entropy(scores[:, 1:4], labels[rows, 1].long())
        loss = loss + functional.mse_loss(scores[:, 4], target[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned_weights = learner.optimizer.weights.double()
    assert queries.abs().max() > 0.01
    torch.testing.assert_close(learned_weights[:-1, 3 * n_heads :], values.detach(), rtol=2e-2, atol=2e-3)
    torch.testing.assert_close(learned_weights[:-1, : 3 * n_heads], queries.detach(), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("n_heads", [1, 8])
def test_zero_queries_are_a_probe_of_the_mean(n_heads):
    X, mask, labels = planted(200)
    learner = learned((X, mask, labels), n_heads=n_heads)
    learner.optimizer.average[:, : learner._n_queries] = 0
    for fit in learner.finish([(X, mask, labels)]):
        means = np.stack([x[m].mean(0) for x, m in zip(X.double().numpy(), mask.numpy(), strict=True)])
        np.testing.assert_allclose(fit.scores(X, mask), means @ fit.values.sum(0).T + fit.intercept, rtol=1e-9)


@pytest.mark.parametrize("n_heads", [1, 8])
def test_a_planted_token_is_found_where_the_mean_misses_it(n_heads):
    texts, test = planted(1200), planted(1000, 6)
    fits = learned(texts, n_heads=n_heads, epochs=4).finish([planted(200, 5), planted(200, 8)])
    X, mask, labels = test
    means = np.array([x[m].mean(axis=0)[0] for x, m in zip(X.numpy(), mask.numpy(), strict=True)])
    of_mean = roc_auc_score(labels[:, 0], means)
    area = roc_auc_score(labels[:, 0], fits[0].scores(X, mask)[:, 0])
    assert area > of_mean + 0.02
    assert area > 0.93
    assert (fits[1].scores(X, mask).argmax(axis=1) == labels[:, 1].numpy()).mean() > 0.8
    error = np.square(fits[2].scores(X, mask)[:, 0] - labels[:, 2].numpy()).mean()
    assert error < 0.3 * labels[:, 2].var()
    assert fits[0].status == "Stopped, not converged."


def test_padding_counts_for_nothing_on_either_side():
    expected = learned(planted(100, pad=np.nan)).finish([planted(50, 5)])
    for texts, validation in (
        (planted(100, pad=1e30), planted(50, 5, pad=np.inf)),
        (planted(100, left=True), planted(50, 5, left=True)),
    ):
        for a, b in zip(expected, learned(texts).finish([validation]), strict=True):
            assert np.isfinite(b.queries).all()
            np.testing.assert_allclose(a.values, b.values, rtol=2e-2, atol=2e-3)


def test_a_resumed_pass_gives_the_same_bits():
    X, mask, labels = planted(120)
    labels[::3, 1] = torch.nan
    settings = AttentionSettings.of_pass(SETS, labels.numpy(), n_heads=2)
    whole, first, resumed = (Attention(D, SETS, settings, "cpu") for _ in range(3))
    batches = list(zip(X.split(25), mask.split(25), labels.split(25), strict=True))
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:2]:
        first.update(*batch)
    resumed.load(first.state())
    for batch in batches[2:]:
        resumed.update(*batch)
    for a, b in zip(whole.finish(batches), resumed.finish(batches), strict=True):
        np.testing.assert_array_equal(a.queries, b.queries)
        np.testing.assert_array_equal(a.intercept, b.intercept)


def test_texts_without_a_label_and_a_batch_of_one_text():
    X, mask, labels = planted(64)
    labels[:, 1] = torch.nan
    learner = learned((X, mask, labels), batch=1)
    fits = learner.finish([(X, mask, labels)])
    assert not fits[1].values.any()
    assert not fits[1].queries.any()
    assert np.isfinite(fits[0].values).all()
    assert fits[0].values.any()


def test_shuffled_labels_are_not_learned():
    X, mask, labels = planted(800)
    shuffled = labels[torch.randperm(800, generator=torch.Generator().manual_seed(0))]
    fits = learned((X, mask, shuffled)).finish([planted(200, 5)])
    test_X, test_mask, test_labels = planted(1000, 6)
    assert abs(roc_auc_score(test_labels[:, 0], fits[0].scores(test_X, test_mask)) - 0.5) < 0.25
    assert (fits[1].scores(test_X, test_mask).argmax(axis=1) == test_labels[:, 1].numpy()).mean() < 0.6
