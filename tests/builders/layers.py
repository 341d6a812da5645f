"""Layers of made activations with their labels: correlated or planted neurons, classes, targets, groups and noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from sparse_probing.probes.inputs.validation import LabelledRows

PLANTED = 17
"""The neuron of :func:`planted_neuron` that encodes the label."""


def shared_factors(rng: np.random.Generator, n: int, d: int, n_factors: int) -> NDArray:
    """Return neurons (n, d) that are correlated through a few common factors, plus noise."""
    factors = rng.standard_normal((n, n_factors)) @ rng.standard_normal((n_factors, d))
    return factors + rng.standard_normal((n, d))


def correlated(n: int = 400, d: int = 12, seed: int = 0, noise: float = 1.0) -> tuple[NDArray, NDArray]:
    """Return correlated neurons (n, d) and labels -1/+1 of a noisy difference of the first two."""
    rng = np.random.default_rng(seed)
    X = shared_factors(rng, n, d, 5) + 2
    y = np.where(X[:, 0] - X[:, 1] + noise * rng.standard_normal(n) > 1, 1, -1).astype(np.int8)
    return X, y


def correlated_targets(n: int = 200, d: int = 12, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Return correlated neurons (n, d) and real targets, a noisy function of the first two."""
    rng = np.random.default_rng(seed)
    X = shared_factors(rng, n, d, 5) + 2
    return X, X[:, 0] - 2 * X[:, 1] + rng.standard_normal(n) + 5


def correlated_classes(
    n: int = 240, d: int = 10, n_classes: int = 4, seed: int = 0, noise: float = 1.0
) -> tuple[NDArray, NDArray]:
    """Return correlated neurons (n, d) and classes 0, 1, ..., all of which occur."""
    rng = np.random.default_rng(seed)
    X = shared_factors(rng, n, d, 4) + 2
    scores = (X - 2) @ rng.standard_normal((d, n_classes)) + 3 * noise * rng.gumbel(size=(n, n_classes))
    codes = (scores + np.arange(n_classes)).argmax(axis=1)
    codes[:n_classes] = np.arange(n_classes)
    return X, codes


def correlated_at_many_scales(n: int = 500, d: int = 30, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Return correlated neurons (n, d) whose scales differ by a factor of 100, and labels -1/+1."""
    rng = np.random.default_rng(seed)
    X = shared_factors(rng, n, d, 4)
    y = np.where(X[:, 0] - X[:, 1] + rng.standard_normal(n) > 1.5, 1, -1)
    return X * rng.uniform(0.1, 10, d) + 3, y


def hard_columns(n: int, d: int, seed: int) -> tuple[NDArray, NDArray]:
    """Return duplicated, constant, shifted and badly scaled columns; the first two separate the labels."""
    X, y = correlated(n, d, seed, noise=0.0)
    X[:, 3], X[:, 4] = X[:, 2], 3.3
    X[:, 5] *= 1e4
    X[:, 6] *= 1e-4
    X[:, 7] += 1e5
    return X, y


def planted_neuron(n: int = 600, d: int = 40, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Return noise (n, d) in which neuron ``PLANTED`` is higher in the 30 % of rows with label +1."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, 1.0, -1.0)
    X = rng.standard_normal((n, d))
    X[:, PLANTED] += 1.5 * (y > 0)
    return X.astype(np.float32), y


def planted_code_and_prose(seed: int = 0, n: int = 300, d: int = 40) -> tuple[NDArray, NDArray]:
    """Return neurons of many scales, of which 12 is higher and 30 is lower in "prose" than in "code"."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, "code", "prose")
    X = rng.standard_normal((n, d)) * np.geomspace(0.1, 10, d) + 1
    X[y == "prose", 12] += 3 * X[:, 12].std()
    X[y == "prose", 30] -= 1.5 * X[:, 30].std()
    return X.astype(np.float32), y


def growing_shifts(
    n: int, d: int, loc: float = 0.0, scale: float = 1.0, dtype: DTypeLike = np.float64, seed: int = 0
) -> tuple[NDArray, NDArray]:
    """Return independent neurons (n, d), shifted in positive rows by 0 to 1 standard deviations, and labels -1/+1."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.3, 1, -1)
    X = rng.standard_normal((n, d)) * scale + loc + np.outer(y > 0, scale * np.arange(d) / d)
    return X.astype(dtype), y


def eight_features(n: int = 1500, d: int = 150, seed: int = 0) -> tuple[NDArray, list[LabelledRows]]:
    """Return float16 neurons (n, d) and eight features; every second feature has half of the rows."""
    rng = np.random.default_rng(seed)
    X = shared_factors(rng, n, d, 8) + 3
    rows = [np.sort(rng.choice(n, n // 2, replace=False)) if i % 2 else np.arange(n) for i in range(8)]
    noise = rng.standard_normal((8, n))
    labels = [np.where((X[:, i] - X[:, i + 1] + noise[i])[row] > 1.5, 1.0, -1.0) for i, row in enumerate(rows)]
    return X.astype(np.float16), [LabelledRows(*pair) for pair in zip(rows, labels, strict=True)]


def two_features_and_a_control(n: int, seed: int = 0) -> list[LabelledRows]:
    """Return two features with different rows of a layer of ``n`` rows, and a control of the first."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(n, size, replace=False)) for size in (n // 2, n - 7)]
    first, second = (LabelledRows(row, np.where(rng.random(len(row)) < 0.3, 1.0, -1.0)) for row in rows)
    return [first, second, LabelledRows(first.row, rng.permutation(first.label))]


def classes_and_targets(n: int = 300, d: int = 50, seed: int = 0) -> tuple[NDArray, NDArray, NDArray]:
    """Return float16 neurons, four classes (neuron 7 encodes one) and targets (neuron 3); neuron 5 is constant."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) + 3).astype(np.float16)
    classes = rng.integers(0, 4, n)
    X[:, 7] += (classes == 2).astype(np.float16)
    X[:, 5] = 0.1
    return X, classes, X[:, 3].astype(float) + rng.standard_normal(n)


def memory_layouts(n: int = 2500, d: int = 150) -> Iterator[NDArray]:
    """Yield layers of every dtype and memory order: C, Fortran, strided, transposed, integers."""
    X = np.random.default_rng(0).standard_normal((n, d))
    for dtype in (np.float16, np.float32, np.float64):
        yield X.astype(dtype)
        yield np.asfortranarray(X.astype(dtype))
    yield X.astype(np.float16)[::2, ::3]
    yield X.astype(np.float16).T
    yield (X * 10).astype(np.int32)


# ---- groups


def null_labels_of_sequences(
    seed: int, n_sequences: int = 60, length: int = 1, d: int = 40
) -> tuple[NDArray, NDArray, NDArray]:
    """Return noise that is alike within a sequence, labels of sequences that it does not encode, and the sequences."""
    rng = np.random.default_rng(seed)
    sequences = np.repeat(np.arange(n_sequences), length)
    labels = np.where(sequences % 4 == 0, 1, -1)
    X = rng.standard_normal((n_sequences, d))[sequences] + 0.5 * rng.standard_normal((len(sequences), d))
    return X, labels, sequences


def binormal_groups(
    effect: float, shift: float, n_groups: int, rows_per_group: int, n_columns: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Return labels of whole groups, normal scores that share ``effect`` within a group, and the groups."""
    groups = np.repeat(np.arange(n_groups), rows_per_group)
    y = np.where(groups % 3 == 0, 1, -1)
    shared = effect * rng.standard_normal((n_groups, n_columns))[groups]
    noise = np.sqrt(1 - effect**2) * rng.standard_normal((len(groups), n_columns))
    return y, shared + noise + shift * (y > 0)[:, None], groups


def rare_class_in_uneven_groups(seed: int) -> tuple[NDArray, NDArray]:
    """Return labels with a rare class in five groups, some large, among many groups of the other class."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, 25)
    groups = np.repeat(np.arange(25), sizes)
    labels = np.where(groups < 5, 1, -1)
    labels[(groups < 5) & (rng.random(len(groups)) < 0.9)] = -1
    labels[np.unique(groups, return_index=True)[1][:5]] = 1
    return labels, groups


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[NDArray, NDArray, float, int]:
    """Draw labels of whole groups, of rows, or a mixture; groups; a test fraction; a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_groups = draw(st.integers(4, 300)), draw(st.integers(2, 60))
    groups = rng.integers(0, n_groups, n) * 7 - 3
    of_group, of_row = rng.random(n_groups * 7)[groups + 3] < 0.3, rng.random(n) < 0.3
    positive = np.where(rng.random(n) < draw(st.floats(0, 1)), of_group, of_row)
    labels = np.where(positive, 1, -1).astype(np.int8)
    return labels, groups, draw(st.floats(0.1, 0.9)), draw(st.integers(0, 1000))


@st.composite
def tied_scores_in_groups(draw: st.DrawFn) -> tuple[NDArray, NDArray, NDArray]:
    """Draw labels -1/+1, scores (n, 3) with many ties or few, and groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(6, 60))
    y = np.where(rng.random(n) < draw(st.floats(0.2, 0.8)), 1, -1)
    groups = rng.integers(0, 12, n) * 5
    y[:4], groups[:4] = [1, -1, 1, -1], [0, 0, 5, 10]
    levels = draw(st.sampled_from([1, 3, 1000]))
    return y, rng.integers(-levels, levels + 1, (n, 3)) + y[:, None] * draw(st.integers(0, 1)), groups
