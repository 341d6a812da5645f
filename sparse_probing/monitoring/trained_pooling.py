"""Poolings that are trained together with the probe: attention over tokens, and its hard form, MultiMax.

With standardised activations z_t of the tokens of a text, heads h, queries q_h and values v_h:

``attention``
    score = sum_h sum_t softmax_t(q_h z_t) (v_h z_t) + b. All queries start at zero, where it is a linear probe of the
    mean activation; training moves it from there.
``multimax``
    score = sum_h max_t (v_h z_t) + b. One token is enough to raise the score, however long the text is.

References
----------
McKenzie et al., Detecting High-Stakes Interactions with Activation Probes (2025), arXiv:2506.10805: attention.
Kramár et al., Building Production-Ready Probes for Gemini (2026), arXiv:2601.11516: several heads, and MultiMax.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.activations.model_pass.attention_pool import FIRST_VALUES, pooled_scores
from sparse_probing.probes.inputs.validation import check_activations, check_labels
from sparse_probing.probes.splits.grouped_split import grouped_stratified_split
from sparse_probing.saved_probes.probe_metadata import TrainedPoolingKind

BATCH_TEXTS = 64
LEARNING_RATE = 3e-3


@dataclass(frozen=True, eq=False)
class TrainedPooling:
    """A probe that pools the tokens of a text in a trained way; a positive score means the positive class."""

    kind: TrainedPoolingKind
    queries: NDArray[np.float64]
    """(heads, d); zeros for multimax, which has none."""
    values: NDArray[np.float64]
    """(heads, d)"""
    intercept: float
    mean: NDArray[np.float64]
    """(d,) subtracted from activations."""
    scale: NDArray[np.float64]
    """(d,) by which they are then divided."""
    best_epoch: int
    """The epoch whose coefficients these are; 0: those before training."""
    n_epochs: int
    """Epochs that were trained, until the validation loss stopped to fall."""
    validation_loss: float
    """Log loss of the validation texts, where both classes weigh the same."""
    n_train: int
    """Training texts."""

    def scores_of(self, activations: ArrayLike, sequence: ArrayLike) -> NDArray[np.float64]:
        """Return the score of each text.

        Parameters
        ----------
        activations : (n, d) array
            Activations of tokens.
        sequence : (n,) array of int
            Number of the text of each token.

        Returns
        -------
        (texts,) float64
            In the order of their numbers.
        """
        X, texts = _checked(activations, sequence)
        model = _Pooling(len(self.values), X.shape[1], self.kind)
        with torch.no_grad():
            for name in ("queries", "values"):
                getattr(model, name).copy_(torch.from_numpy(getattr(self, name)))
            model.intercept.fill_(self.intercept)
            return _scores(model, (X - self.mean) / self.scale, texts)


def fit_pooling(
    activations: ArrayLike,
    sequence: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    kind: TrainedPoolingKind = "attention",
    n_heads: int = 8,
    seed: int = 0,
    max_epochs: int = 200,
    patience: int = 10,
    weight_decay: float = 0.01,
    validation_fraction: float = 0.2,
) -> TrainedPooling:
    """Train a pooling with Adam; the epoch is chosen on validation groups.

    The objective is not convex: it ends where the validation loss does not fall any more, not at a proved optimum.

    Parameters
    ----------
    activations : (n, d) array
        Activations of the tokens of training texts; ``store.read(layer)`` of a store without aggregation.
    sequence : (n,) array of int
        Number of the text of each token; ``store.rows[0]``.
    y : (texts,) array of -1 and +1
        Labels in the order of the numbers of the texts. Classes weigh the same.
    groups : (texts,) array
        Texts of one group are all training or all validation texts.
    kind : {'attention', 'multimax'}
    n_heads : int
    seed : int
        Of the validation groups, the first values and the order of the texts.
    max_epochs : int
    patience : int
        Epochs without a lower validation loss after which training ends.
    weight_decay : float
        Of queries and values.
    validation_fraction : float

    Raises
    ------
    ProbeError
        If a class is missing, shapes do not fit, an activation is not finite, or a number is out of its range.
    SplitError
        If groups do not allow a validation part with both classes.
    """
    X, texts = _checked(activations, sequence)
    labels = check_labels(y)
    if not len(labels) == len(texts) == np.size(groups):
        raise ProbeError(f"{len(texts)} texts need one label and one group each: {len(labels)} and {np.size(groups)}.")
    if kind not in ("attention", "multimax") or min(n_heads, max_epochs, patience) < 1 or weight_decay < 0:
        raise ProbeError(
            "Pass attention or multimax, at least one head, epoch and patience, and a decay of at least 0."
        )
    split = grouped_stratified_split(labels, groups, validation_fraction, seed)
    rows = np.concatenate([texts[i] for i in split.train])
    mean, scale = X[rows].mean(axis=0, dtype=np.float64), X[rows].std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1
    Z = (X - mean) / scale

    generator = torch.Generator().manual_seed(seed)
    model = _Pooling(n_heads, X.shape[1], kind)
    with torch.no_grad():
        model.values.normal_(0, FIRST_VALUES, generator=generator)
    decayed = [{"params": [model.queries, model.values]}, {"params": [model.intercept], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(decayed, lr=LEARNING_RATE, weight_decay=weight_decay)
    best, best_loss, best_epoch, epoch = copy.deepcopy(model.state_dict()), np.inf, 0, 0
    for epoch in range(max_epochs + 1):
        if epoch:  # before the first epoch only the validation loss is measured
            order = split.train[torch.randperm(len(split.train), generator=generator).numpy()]
            for members, tokens, mask in _batches(Z, texts, order):
                optimizer.zero_grad()
                _log_loss(model(tokens, mask), labels[members], labels[split.train]).backward()
                optimizer.step()
        with torch.no_grad():
            scores = torch.from_numpy(_scores(model, Z, [texts[i] for i in split.test]))
            loss = float(_log_loss(scores, labels[split.test], labels[split.test]))
        if loss < best_loss:
            best, best_loss, best_epoch = copy.deepcopy(model.state_dict()), loss, epoch
        elif epoch - best_epoch >= patience:
            break
    return TrainedPooling(
        kind=kind,
        queries=best["queries"].numpy(),
        values=best["values"].numpy(),
        intercept=float(best["intercept"]),
        mean=mean,
        scale=scale,
        best_epoch=best_epoch,
        n_epochs=epoch,
        validation_loss=best_loss,
        n_train=len(split.train),
    )


class _Pooling(torch.nn.Module):
    """The scores of padded texts (n, length, d) with a mask (n, length)."""

    def __init__(self, n_heads: int, width: int, kind: TrainedPoolingKind) -> None:
        super().__init__()
        self.kind = kind
        self.queries = torch.nn.Parameter(torch.zeros(n_heads, width, dtype=torch.float64))
        self.values = torch.nn.Parameter(torch.zeros(n_heads, width, dtype=torch.float64))
        self.intercept = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        queries = self.queries if self.kind == "attention" else None
        return pooled_scores(tokens, mask, self.values[:, None], queries)[:, 0] + self.intercept


def _log_loss(scores: torch.Tensor, labels: NDArray[np.float64], all_labels: NDArray[np.float64]) -> torch.Tensor:
    """Return the mean of log(1 + exp(-y s)), where both classes weigh the same in ``all_labels``."""
    share = np.mean(all_labels > 0)
    weights = torch.from_numpy(np.where(labels > 0, 0.5 / share, 0.5 / (1 - share)))
    return (weights * torch.nn.functional.softplus(-torch.from_numpy(labels) * scores)).mean()


def _batches(
    Z: NDArray[np.float64], texts: list[NDArray[np.int64]], order: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]]:
    """Yield the members of batches, their activations padded with zeros, and where there is a token."""
    for start in range(0, len(order), BATCH_TEXTS):
        members = order[start : start + BATCH_TEXTS]
        lengths = np.array([len(texts[i]) for i in members])
        mask = np.arange(lengths.max()) < lengths[:, None]
        tokens = np.zeros((*mask.shape, Z.shape[1]))
        tokens[mask] = Z[np.concatenate([texts[i] for i in members])]
        yield members, torch.from_numpy(tokens), torch.from_numpy(mask)


def _scores(model: _Pooling, Z: NDArray[np.float64], texts: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    scores = [model(tokens, mask) for _, tokens, mask in _batches(Z, texts, np.arange(len(texts)))]
    return torch.cat(scores).numpy()


def _checked(activations: ArrayLike, sequence: ArrayLike) -> tuple[NDArray, list[NDArray[np.int64]]]:
    """Return activations, and the rows of every text in the order of their numbers."""
    X, numbers = check_activations(activations), np.asarray(sequence)
    if numbers.shape != X.shape[:1]:
        raise ProbeError(f"{len(X)} tokens need the number of their text each; got shape {numbers.shape}.")
    codes, counts = np.unique(numbers, return_inverse=True, return_counts=True)[1:]
    return X, np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
