"""Probes by Adam: torch's own loop, several layers at once, early stopping, and the optimum that it approaches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.one_vs_rest.adam import AdamSettings, train_adam
from sparse_probing.probes.one_vs_rest.converged import fit_one_vs_rest
from tests.builders.layers import correlated_classes

SHORT = AdamSettings(epochs=12, batch_rows=32, validate_every=3)


def layers_of(n=150, d=20, n_layers=1):
    """Return activations (L, n, d), codes, and which rows have which of the classes."""
    X, codes = correlated_classes(n, d)
    noise = np.random.default_rng(1).standard_normal((n_layers, n, d))
    return (X + 0.3 * noise).astype(np.float32), codes, codes[:, None] == np.arange(codes.max() + 1)


def loop_of_torch(X, codes, held_out, held_out_codes, settings):
    """Train as a script would: nn.Linear, sigmoid, BCELoss, torch.optim.Adam and ReduceLROnPlateau."""
    (n, d), n_classes = X.shape, int(codes.max()) + 1
    random = torch.Generator().manual_seed(settings.seed)
    probe = torch.nn.Linear(d, n_classes)
    torch.nn.init.normal_(probe.weight, 0, settings.deviation, generator=random)
    torch.nn.init.zeros_(probe.bias)
    groups = [{"params": [probe.weight], "weight_decay": 0.1}, {"params": [probe.bias], "weight_decay": 0.0}]
    adam = torch.optim.Adam(groups, lr=1e-3, betas=(0.9, 0.95))
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, factor=0.75, patience=0)
    X, codes = torch.tensor(X), torch.tensor(codes)
    losses, rates, accuracies, best = [], [], [], (-1.0, None)
    for epoch in range(1, settings.epochs + 1):
        rates.append(adam.param_groups[0]["lr"])
        of_batches = []
        for rows in torch.randperm(n, generator=random).split(settings.batch_rows):
            adam.zero_grad()
            one_hot = torch.zeros(len(rows), n_classes).scatter_(1, codes[rows][:, None], 1)
            loss = torch.nn.BCELoss()(torch.sigmoid(probe(X[rows])), one_hot)
            loss.backward()
            adam.step()
            of_batches.append(loss.item())
        losses.append(np.mean(of_batches))
        plateau.step(losses[-1])
        if epoch % settings.validate_every == 0:
            with torch.no_grad():
                hits = probe(torch.tensor(held_out)).argmax(1) == torch.tensor(held_out_codes)
            accuracies.append(hits.float().mean().item())
            if accuracies[-1] > best[0]:
                best = accuracies[-1], (probe.weight.detach().numpy().copy(), probe.bias.detach().numpy().copy())
    return probe.weight.detach().numpy(), probe.bias.detach().numpy(), best[1], losses, rates, accuracies


@pytest.mark.parametrize("settings", [SHORT, replace(SHORT, epochs=60, validate_every=10, batch_rows=200)])
def test_equals_the_loop_of_torch(settings):
    X, codes, is_class = layers_of()
    (probe,) = train_adam(X[:, :100], is_class[:100], X[:, 100:], is_class[100:], settings)
    weight, bias, best, losses, rates, accuracies = loop_of_torch(
        X[0, :100], codes[:100], X[0, 100:], codes[100:], settings
    )
    assert probe.last_coef == pytest.approx(weight, abs=1e-5)
    assert probe.last_intercept == pytest.approx(bias, abs=1e-5)
    assert probe.coef == pytest.approx(best[0], abs=1e-5)
    assert probe.intercept == pytest.approx(best[1], abs=1e-5)
    assert [epoch.train_loss for epoch in probe.epochs] == pytest.approx(losses, rel=1e-5)
    assert [epoch.learning_rate for epoch in probe.epochs] == pytest.approx(rates, rel=1e-6)
    validated = [e.validation_accuracy for e in probe.epochs if e.validation_accuracy is not None]
    assert validated == pytest.approx(accuracies)
    assert [e.epoch for e in probe.epochs if e.is_best][-1] == probe.best_epoch


def test_the_learning_rate_falls_when_the_loss_does_not():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1, 64, 4)).astype(np.float32), rng.random((64, 1)) < 0.5
    (probe,) = train_adam(X, y, X, y, AdamSettings(epochs=100, batch_rows=8, learning_rate=0.05))
    assert probe.epochs[-1].learning_rate < 0.05 * 0.75**5


def test_several_layers_at_once_are_the_same_as_one_by_one():
    X, _, is_class = layers_of(n_layers=3)
    parts = X[:, :100], is_class[:100], X[:, 100:], is_class[100:], replace(SHORT, early_stopping=1)
    for one, together in zip(train_adam(*parts), train_adam(*parts, layers_at_once=2), strict=True):
        assert together.coef == pytest.approx(one.coef, abs=1e-6)
        assert together.last_coef == pytest.approx(one.last_coef, abs=1e-6)
        assert together.best_epoch == one.best_epoch
        assert len(together.epochs) == len(one.epochs)


def test_it_ends_above_its_optimum_and_approaches_it():
    X, _, is_class = layers_of()
    C = 1 / (0.1 * is_class.size)
    best = fit_one_vs_rest(X[0], is_class, [C]).objective.sum() * 0.1
    (probe,) = train_adam(
        X,
        is_class,
        X,
        is_class,
        AdamSettings(epochs=300, batch_rows=150, learning_rate=0.01, validate_every=50, factor=1.0),
    )
    objectives = [epoch.objective for epoch in probe.epochs if epoch.objective is not None]
    assert all(objective >= best * (1 - 1e-6) for objective in objectives)
    assert objectives[-1] < objectives[0]
    assert objectives[-1] <= best * 1.01


def test_early_stopping_ends_after_validations_that_are_not_better():
    X, _, is_class = layers_of()
    settings = AdamSettings(epochs=200, batch_rows=50, validate_every=5, early_stopping=2)
    (probe,) = train_adam(X[:, :100], is_class[:100], X[:, 100:], is_class[100:], settings)
    assert len(probe.epochs) == probe.best_epoch + 10 < 200


@pytest.mark.parametrize("changes", [{"epochs": 5}, {"batch_rows": 0}, {"validate_every": 0}])
def test_refuses_settings(changes):
    X, _, is_class = layers_of()
    with pytest.raises(ProbeError, match="cannot be trained"):
        train_adam(X, is_class, X, is_class, replace(AdamSettings(), **changes))
