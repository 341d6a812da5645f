"""Learners learn the same from rows on a GPU, and from rows in half precision."""

import numpy as np
import pytest
import torch

from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.attention import Attention, AttentionSettings
from sparse_probing.online.learners.averaged_adamw import AdamWSettings
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.moments import Moments, MomentsSettings

SETS = (
    LabelSet("binary", "binary"),
    LabelSet("classes", "multiclass", ("a", "b", "c")),
    LabelSet("number", "regression"),
)
D, LENGTH = 32, 6
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def made_texts(n=600, seed=0):
    """Return activations (n, length, d), masks and labels (n, 3) with nulls."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, LENGTH, D)).astype(np.float32) + 2
    mask = np.arange(LENGTH) < rng.integers(1, LENGTH + 1, n)[:, None]
    pooled = (X * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    labels = np.stack([np.sign(pooled[:, 0] - 2), pooled[:, 1:4].argmax(axis=1), pooled[:, 5]], axis=1)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    return torch.from_numpy(X), torch.from_numpy(mask), torch.from_numpy(labels.astype(np.float64))


def made_learner(kind, device):
    labels = made_texts()[2].numpy()
    if kind == "moments":
        return Moments(D, SETS, MomentsSettings(), device)
    if kind == "adamw":
        return AdamW(D, SETS, AdamWSettings.of_pass(SETS, labels), device)
    return Attention(D, SETS, AttentionSettings.of_pass(SETS, labels, n_heads=2), device)


def learned(kind, device, resume_at=None):
    """Return the fits, and the scores of one batch, of a learner whose rows are on a device and labels on the CPU."""
    learner = made_learner(kind, device)
    X, mask, labels = made_texts()
    held_out = made_texts(200, 5)
    for i, part in enumerate(zip(X.split(50), mask.split(50), labels.split(50), strict=True)):
        if i == resume_at:
            state, learner = learner.state(), made_learner(kind, device)
            learner.load(state)
        x, is_token, y = part[0].to(device), part[1].to(device), part[2]
        learner.update(x, is_token, y) if kind == "attention" else learner.update(x[:, 0], y)
    x, is_token = held_out[0].to(device), held_out[1].to(device)
    if kind == "attention":
        return learner.finish([(x, is_token, held_out[2])]), learner.scores(x, is_token)
    return learner.finish(x[:, 0], held_out[2]), learner.scores(x[:, 0])


KINDS = ("moments", "adamw", "attention")


@needs_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_the_gpu_learns_what_the_cpu_learns(kind):
    on_cpu, on_gpu = learned(kind, "cpu"), learned(kind, "cuda")
    assert on_gpu[1].device.type == "cuda"
    torch.testing.assert_close(on_cpu[1], on_gpu[1].cpu(), rtol=1e-2, atol=1e-2)
    for a, b in zip(on_cpu[0], on_gpu[0], strict=True):
        name = "values" if kind == "attention" else "coef"
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-2, atol=1e-2)


@needs_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_the_gpu_gives_the_same_bits_after_a_resume(kind):
    whole, resumed = learned(kind, "cuda"), learned(kind, "cuda", resume_at=7)
    assert torch.equal(whole[1], resumed[1])
    for a, b in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(a.intercept, b.intercept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_in_half_precision_are_learned_in_full(kind, dtype):
    learner, exact = made_learner(kind, "cpu"), made_learner(kind, "cpu")
    X, mask, labels = made_texts()
    half, scores = X.to(dtype), []
    for each, rows in ((learner, half), (exact, half.float())):
        each.update(rows, mask, labels) if kind == "attention" else each.update(rows[:, 0], labels)
        given = (rows, mask) if kind == "attention" else (rows[:, 0],)
        scores.append(each.scores(*given))
    assert torch.equal(*scores)
    assert scores[0].any()
