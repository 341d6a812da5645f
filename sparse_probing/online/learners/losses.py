"""Losses of all label sets of a place at once, in torch: softmax, sigmoid or squared by their kind; nulls cost 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_probing.online.learners.label_sets import LabelSet, output_spans

TEMPERATURES = tuple(2.0**exponent for exponent in range(-2, 7))


class SetLosses:
    """The losses of label sets, whose scores are columns beside each other.

    Parameters
    ----------
    label_sets : sequence of LabelSet
    device : torch.device or str
        Where scores and labels are.

    Attributes
    ----------
    spans : list of slice
        The columns of each set.
    class_starts : list of int
        The first of the counted classes of each set.
    n_classes : int
        Counted classes of all sets.
    """

    def __init__(self, label_sets: Sequence[LabelSet], device: torch.device | str) -> None:
        self.label_sets, self.spans = tuple(label_sets), output_spans(label_sets)
        sizes = [each.counted_classes for each in label_sets]
        self.class_starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.n_classes = sum(sizes)
        self._first_class = torch.tensor(self.class_starts, device=device)
        self._n_classes_of_set = torch.tensor(sizes, device=device)
        kinds = [each.kind for each in label_sets]
        self._is_regression = torch.tensor([kind == "regression" for kind in kinds], device=device)
        self._is_binary = torch.tensor([kind == "binary" for kind in kinds], device=device)
        # Sets of one output are computed together: a loop over hundreds of features would cost more than they do.
        self._one_output = [
            (kind, *(torch.tensor(part, device=device) for part in zip(*pairs, strict=True)))
            for kind in ("binary", "regression")
            if (pairs := [(s, self.spans[s].start) for s, each in enumerate(label_sets) if each.kind == kind])
        ]
        self._multiclass = [(s, self.spans[s]) for s, each in enumerate(label_sets) if each.kind == "multiclass"]

    def classes_of(self, labels: Tensor) -> Tensor:
        """Return the counted class (m, S) of each label; ``n_classes`` for nulls."""
        codes = torch.where(self._is_binary, labels > 0, torch.where(self._is_regression, 0, labels))
        return torch.where(labels.isnan(), self.n_classes, codes.nan_to_num().long() + self._first_class)

    def count(self, labels: Tensor) -> Tensor:
        """Return how many rows each counted class has (n_classes,), int64."""
        return torch.bincount(self.classes_of(labels).flatten(), minlength=self.n_classes + 1)[:-1]

    def balanced_weights(self, labels: Tensor, counts: Tensor) -> Tensor:
        """Return the weight (m, S) of each row in each set, n / (K n_class) as in stage 2; 1 in regression, 0 of nulls.

        Parameters
        ----------
        labels : (m, S) Tensor
        counts : (n_classes,) Tensor
            Rows of each counted class. K counts the classes that have rows.
        """
        set_of_class = torch.repeat_interleave(self._n_classes_of_set)
        # Sums of whole numbers do not depend on their order, which on a GPU changes from run to run.
        n_of_set, n_present = (
            torch.zeros_like(self._n_classes_of_set).index_add_(0, set_of_class, part.long())
            for part in (counts, counts > 0)
        )
        weights = (n_of_set / n_present.clamp_min(1))[set_of_class] / counts.clamp_min(1)
        return torch.cat([weights, weights.new_zeros(1)])[self.classes_of(labels)]

    def losses(self, scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the mean loss (S,) of the labelled rows of each set; NaN where a set has none.

        Parameters
        ----------
        scores : (m, outputs) Tensor
        labels : (m, S) Tensor
            -1/+1, class numbers or real numbers; NaN is the null label.
        weights : (m, S) Tensor, optional
            Weights of rows; the mean is over their sum.
        """
        is_labelled = ~labels.isnan()
        targets = labels.nan_to_num().to(scores.dtype)
        of_rows = torch.zeros_like(targets)
        for kind, sets, columns in self._one_output:
            part, target = scores[:, columns], targets[:, sets]
            of_rows[:, sets] = (
                torch.nn.functional.softplus(-target * part) if kind == "binary" else (part - target).square()
            )
        for s, span in self._multiclass:
            of_rows[:, s] = torch.nn.functional.cross_entropy(scores[:, span], targets[:, s].long(), reduction="none")
        weights = is_labelled.to(scores.dtype) if weights is None else weights * is_labelled
        return (of_rows * weights).sum(0) / weights.sum(0)

    def tempered_losses(self, scores: Tensor, labels: Tensor, balanced: bool) -> Tensor:
        """Return the mean loss (S,) of each set after the best of some temperatures, which divide scores of classes.

        Settings that are compared by it win by what their scores say of the classes, not by how certain they are.

        Parameters
        ----------
        scores : (m, outputs) Tensor
        labels : (m, S) Tensor
        balanced : bool
            Whether classes weigh the same.
        """
        weights = self.balanced_weights(labels, self.count(labels)).to(scores.dtype) if balanced else None
        losses = [self.losses(scores / temperature, labels, weights) for temperature in TEMPERATURES]
        return torch.where(self._is_regression, self.losses(scores, labels), torch.stack(losses).amin(0))

    def can_choose(self, labels: Tensor) -> Tensor:
        """Return whether the rows (m, S) of each set can choose a setting (S,): two classes, in regression one row."""
        counts = self.count(labels)
        n_present = torch.stack([(part > 0).sum() for part in counts.split(self._n_classes_of_set.tolist())])
        return n_present >= self._n_classes_of_set.clamp_max(2)

    def best_of(self, losses: Tensor, labels: Tensor) -> list[int]:
        """Return for each set which of several candidates has the smallest loss; 0 where the rows cannot choose.

        Parameters
        ----------
        losses : (candidates * S,) Tensor
            Of the sets of the first candidate, of the second, and so forth.
        labels : (m, S) Tensor
            Of the rows that the losses are of.
        """
        best = losses.reshape(-1, len(self.label_sets)).nan_to_num(torch.inf).argmin(0)
        return torch.where(self.can_choose(labels), best, 0).tolist()

    def residuals(self, scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the derivative (m, outputs) of the sum over sets of the mean loss; 0 where a row has a null label.

        The mean of a set is over its labelled rows, whatever their weights, so that the mean over many batches is that
        of all rows. Arguments as those of `losses`.
        """
        is_labelled = ~labels.isnan()
        share = is_labelled.to(scores.dtype) / is_labelled.sum(0).clamp_min(1)
        share = share if weights is None else share * weights
        targets = labels.nan_to_num().to(scores.dtype)
        residual = torch.empty_like(scores)
        for kind, sets, columns in self._one_output:
            part, target = scores[:, columns], targets[:, sets]
            slope = torch.sigmoid(part) - (target > 0).to(part.dtype) if kind == "binary" else 2 * (part - target)
            residual[:, columns] = slope * share[:, sets]
        for s, span in self._multiclass:
            chance = scores[:, span].softmax(1)
            chance[torch.arange(len(chance), device=chance.device), targets[:, s].long()] -= 1
            residual[:, span] = chance * share[:, s, None]
        return residual
