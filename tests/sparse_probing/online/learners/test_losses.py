"""Losses and residuals of many label sets equal torch's own, set by set, and nulls cost nothing."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.losses import SetLosses

SETS = (
    LabelSet("a", "binary"),
    LabelSet("b", "multiclass", ("x", "y", "z")),
    LabelSet("c", "regression"),
    LabelSet("d", "binary"),
    LabelSet("e", "multiclass", ("x", "y")),
)


def made_rows(m=50, seed=0, nulls=0.3):
    rng = np.random.default_rng(seed)
    labels = np.stack(
        [
            rng.choice([-1.0, 1.0], m),
            rng.integers(0, 3, m),
            rng.normal(size=m),
            rng.choice([-1.0, 1.0], m, p=[0.9, 0.1]),
            rng.integers(0, 2, m),
        ],
        axis=1,
    )
    labels[rng.random(labels.shape) < nulls] = np.nan
    return torch.from_numpy(rng.normal(size=(m, 8))), torch.from_numpy(labels)


def loss_by_torch(scores, labels):
    """Return the loss of every set by torch's own functions, each on its labelled rows."""
    functional, losses = torch.nn.functional, []
    for s, (each, span) in enumerate(zip(SETS, SetLosses(SETS, "cpu").spans, strict=True)):
        is_labelled = ~labels[:, s].isnan()
        part, target = scores[is_labelled, span], labels[is_labelled, s]
        if each.kind == "binary":
            losses.append(functional.binary_cross_entropy_with_logits(part[:, 0], (target + 1) / 2))
        elif each.kind == "regression":
            losses.append(functional.mse_loss(part[:, 0], target))
        else:
            losses.append(functional.cross_entropy(part, target.long()))
    return torch.stack(losses)


def test_losses_equal_those_of_torch():
    scores, labels = made_rows()
    torch.testing.assert_close(SetLosses(SETS, "cpu").losses(scores, labels), loss_by_torch(scores, labels))


def test_residuals_are_the_gradient():
    scores, labels = made_rows()
    loss_by_torch(scores.requires_grad_(), labels).sum().backward()
    torch.testing.assert_close(SetLosses(SETS, "cpu").residuals(scores.detach(), labels), scores.grad)


def test_a_set_without_labelled_rows_has_no_loss_and_no_residual():
    scores, labels = made_rows()
    labels[:, 1] = torch.nan
    losses = SetLosses(SETS, "cpu")
    assert losses.losses(scores, labels).isnan().tolist() == [False, True, False, False, False]
    residuals = losses.residuals(scores, labels)
    assert not residuals[:, 1:4].any()
    assert residuals.isfinite().all()


def test_classes_are_counted_and_weighted_as_in_stage_2():
    _, labels = made_rows(200)
    losses = SetLosses(SETS, "cpu")
    counts = losses.count(labels)
    weights = losses.balanced_weights(labels, counts)
    for s, (each, start) in enumerate(zip(SETS, losses.class_starts, strict=True)):
        column = labels[:, s].numpy()
        is_labelled = ~np.isnan(column)
        assert not weights[~is_labelled, s].any()
        if each.kind == "regression":
            assert counts[start] == is_labelled.sum()
            assert (weights[is_labelled, s] == 1).all()
        else:
            present, n = np.unique(column[is_labelled], return_counts=True)
            assert counts[start : start + len(present)].tolist() == n.tolist()
            expected = compute_sample_weight("balanced", column[is_labelled])
            np.testing.assert_allclose(weights[is_labelled, s], expected, rtol=1e-6)


def test_weighted_residuals_are_the_gradient_of_the_weighted_mean():
    scores, labels = made_rows(nulls=0)
    losses = SetLosses(SETS, "cpu")
    weights = losses.balanced_weights(labels, losses.count(labels)).double()
    losses.losses(scores.requires_grad_(), labels, weights).sum().backward()
    torch.testing.assert_close(losses.residuals(scores.detach(), labels, weights), scores.grad)


def test_a_class_without_rows_weighs_nothing():
    labels = torch.tensor([[0.0], [0.0], [2.0], [torch.nan]])
    losses = SetLosses([SETS[1]], "cpu")
    weights = losses.balanced_weights(labels, losses.count(labels))
    assert weights[:, 0].tolist() == pytest.approx([0.75, 0.75, 1.5, 0])
