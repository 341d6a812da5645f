"""Exact least squares and linear discriminants from sums over the rows: no row is kept.

For a label set with n labelled rows z = x - shift the sums are the Gram matrix ``z'z``, the sum of z, and for every
class the number of its rows and their sum (in regression the sums of y and of z y). They give the mean m and the
covariance S of the scaled rows, and the differences D (d, K) of the class means from m, with the shares p of the
classes. With ``G = (S + ridge I)^-1 D`` the scores are

- in regression those of ridge least squares, ``|y - f|^2 / n + ridge |beta|^2``, whose intercept is not penalised;
- of classes the linear discriminants with the covariance within classes, ``W = S - D diag(p) D'``. By the identity of
  Woodbury ``A = (W + ridge I)^-1 D = G (I - diag(p) D'G)^-1``, and class c has the score
  ``A_c'(x - m) - A_c'D_c / 2 + log prior_c``. They are the solution of ridge least squares with optimal scores of the
  classes; of two classes the score is the difference, whose direction is that of least squares on codes of the classes.

One eigendecomposition of S serves every ridge and every label set that is labelled in the same rows.

References
----------
Hastie, Buja and Tibshirani, Penalized Discriminant Analysis (Annals of Statistics 1995), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.online.learners.label_sets import LabelSet, OnlineFit
from sparse_probing.online.learners.losses import SetLosses
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.probes.inputs.validation import ClassWeight

RIDGES = tuple(float(ridge) for ridge in np.logspace(-6, 2, 25))
"""Ridges from which that of a probe is chosen; scaled neurons have a mean variance of 1."""
DEFAULT_RIDGE = 1e-2
"""Ridge while the pass runs, and where validation rows cannot choose."""
BUFFERED_ROWS = 512
"""Rows that are collected before their products are added: to add a (d, d) matrix costs more than a small product."""
EXACT = "Exact for squared loss."
NOT_CHOSEN = f"The ridge is {DEFAULT_RIDGE:g}, because the validation rows do not have two classes."


def dtype_of_sums(device: torch.device) -> torch.dtype:
    """Return the most precise dtype of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class MomentsSettings:
    """How the probes are solved for."""

    scaling: Scaling = "rms"
    """rms and none: one number divides all neurons; unit and paper: each neuron is divided by its deviation. The ridge
    is relative to the scaled variance, so that only this difference counts."""
    class_weight: ClassWeight = "balanced"
    """balanced: classes have equal priors, and count equally when the ridge is chosen."""
    ridges: tuple[float, ...] = RIDGES


class Moments:
    """The sums of one place, and the probes of all its label sets.

    Label sets that have labels in the same rows share a Gram matrix. Where they begin to differ, the shared one is
    copied, and each copy continues with its rows, so that the sums of a set are always those of its labelled rows.

    Parameters
    ----------
    width : int
        Neurons d.
    label_sets : sequence of LabelSet
    settings : MomentsSettings
    device : torch.device or str
        Of the rows. Sums are float64, and float32 on devices without float64 (mps).

    Notes
    -----
    Memory: 8 d^2 bytes for each different pattern of null labels, 8 d bytes for each class of each set, and 512 rows;
    :meth:`memory` adds them up. `finish` takes four more matrices of d^2 while it solves.
    """

    def __init__(
        self, width: int, label_sets: Sequence[LabelSet], settings: MomentsSettings, device: torch.device | str
    ) -> None:
        self.width, self.label_sets, self.settings = width, tuple(label_sets), settings
        self.device = torch.device(device)
        self.losses = SetLosses(label_sets, self.device)
        self._dtype = dtype_of_sums(self.device)
        n_classes = self.losses.n_classes
        self._shift: Tensor | None = None
        self._gram_of_set = np.zeros(len(self.label_sets), dtype=np.int64)
        self._n = np.zeros(1, dtype=np.int64)
        self._sums, self._grams = [self._zeros(width)], [self._zeros(width, width)]
        self._class_sums, self._class_totals = self._zeros(width, n_classes), self._zeros(n_classes)
        self._class_counts = torch.zeros(n_classes, dtype=torch.int64, device=self.device)
        self._buffer: list[tuple[Tensor, Tensor]] = []
        self._present: list[tuple[Tensor, Tensor]] | None = None

    @staticmethod
    def memory(width: int, label_sets: Sequence[LabelSet], labels: NDArray) -> int:
        """Return the bytes of the sums of a place, and of the rows that wait, for training labels (n, S) with nulls."""
        n_grams = np.unique(~np.isnan(labels), axis=1).shape[1]
        n_classes = SetLosses(label_sets, "cpu").n_classes
        return 8 * width * (n_grams * (width + 1) + n_classes) + 4 * BUFFERED_ROWS * width

    @torch.inference_mode()
    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Add training rows.

        Parameters
        ----------
        rows : (m, d) Tensor
            Finite activations; not changed later by the caller, because they may wait to be added.
        labels : (m, S) Tensor
            NaN for nulls.
        """
        labels = labels.to("cpu", torch.float64)
        is_used = ~labels.isnan().all(1)
        if not is_used.any():
            return
        if not is_used.all():
            rows, labels = rows[is_used.to(rows.device)], labels[is_used]
        self._present = None
        self._buffer.append((rows.to(torch.promote_types(rows.dtype, torch.float32)), labels))
        if sum(len(part) for part, _ in self._buffer) >= BUFFERED_ROWS:
            self._add_buffer()

    @torch.inference_mode()
    def finish(self, validation_rows: Tensor, validation_labels: Tensor) -> list[OnlineFit]:
        """Solve for every ridge, and return for each label set the probe with the smallest loss of validation rows.

        The loss is that of scores divided by the best of several temperatures, so that a probe that ranks well is not
        refused because it is too certain.

        Parameters
        ----------
        validation_rows : (v, d) Tensor
        validation_labels : (v, S) Tensor

        Returns
        -------
        list of OnlineFit

        Raises
        ------
        ProbeError
            If a label set has training rows of fewer than two classes, or fewer than two rows with a target.
        """
        self._add_buffer()
        place = self._solving_device()
        labels = validation_labels.to(place, torch.float64)
        is_balanced, ridges = self.settings.class_weight == "balanced", self.settings.ridges
        fits: dict[int, OnlineFit] = {}
        for gram, sets in enumerate(self._sets_of_grams()):
            for s in sets:
                self._check_rows(s)
            mean, scale, covariance = self._scaled_moments(gram)
            values, vectors = torch.linalg.eigh(covariance)
            values = values.clamp_min(0)
            held_out = ((validation_rows.to(place, torch.float64) - mean) / scale) @ vectors
            for s in sets:
                is_labelled = ~labels[:, s].isnan()
                differences = vectors.T @ self._differences(s, mean, scale)
                scores = []
                for ridge in ridges:
                    coef, intercept = self._linear(s, differences, differences / (values + ridge)[:, None])
                    scores.append(held_out[is_labelled] @ coef + intercept)
                # The path as if each ridge were a label set: their losses are computed at once.
                path = SetLosses([self.label_sets[s]] * len(ridges), place)
                column = labels[is_labelled, s, None].expand(-1, len(ridges))
                can_choose = bool(path.can_choose(column)[0])
                loss_of_ridge = path.tempered_losses(torch.cat(scores, dim=1), column, is_balanced)
                best = ridges[int(loss_of_ridge.argmin())] if can_choose else DEFAULT_RIDGE
                coef, intercept = self._linear(s, differences, differences / (values + best)[:, None])
                coef = (vectors @ coef) / scale[:, None]
                fits[s] = OnlineFit(
                    self.label_sets[s],
                    coef.T.cpu().numpy(),
                    (intercept - mean @ coef).cpu().numpy(),
                    EXACT if can_choose else f"{EXACT} {NOT_CHOSEN}",
                    True,
                    best,
                )
        return [fits[s] for s in range(len(self.label_sets))]

    @torch.inference_mode()
    def scores(self, rows: Tensor) -> Tensor:
        """Return the scores (m, outputs) of rows (m, d) by probes of the rows so far, with the default ridge.

        A set without rows has the same scores everywhere.
        """
        self._add_buffer()
        place = self._solving_device()
        if self._present is None:
            functions: dict[int, tuple[Tensor, Tensor]] = {}
            for gram, sets in enumerate(self._sets_of_grams()):
                mean, scale, covariance = self._scaled_moments(gram)
                covariance.diagonal().add_(DEFAULT_RIDGE)
                factor = torch.linalg.cholesky(covariance)
                for s in sets:
                    differences = self._differences(s, mean, scale)
                    coef, intercept = self._linear(s, differences, torch.cholesky_solve(differences, factor))
                    coef = coef / scale[:, None]
                    functions[s] = coef, intercept - mean @ coef
            self._present = [functions[s] for s in range(len(self.label_sets))]
        x = rows.to(place, torch.float64)
        scores = [x @ coef + intercept for coef, intercept in self._present]
        return torch.cat(scores, dim=1).to(rows.device, self._dtype)

    @torch.inference_mode()
    def merge(self, other: Moments) -> None:
        """Add the rows of another process: afterwards the sums are those of all rows.

        Raises
        ------
        ProbeError
            If the other sums are of another width or other label sets.
        """
        if (self.width, self.label_sets) != (other.width, other.label_sets):
            raise ProbeError("Moments of different widths or label sets cannot be added. Merge those of one place.")
        self._add_buffer()
        other._add_buffer()
        if other._shift is None:
            return
        if self._shift is None:
            self._shift = other._shift.clone()
        offset = (other._shift - self._shift).to(self.device, self._dtype)
        # Sets share a Gram matrix where they do so in both processes.
        pairs, gram_of_set = np.unique(np.stack([self._gram_of_set, other._gram_of_set]), axis=1, return_inverse=True)
        n, sums, grams = [], [], []
        for mine, theirs in pairs.T:
            rows, total = int(other._n[theirs]), other._sums[theirs].to(self.device)
            # Of z + offset: the sum is s + n o, the Gram matrix G + s o' + o s' + n o o'.
            moved = torch.outer(total, offset)
            gram = other._grams[theirs].to(self.device) + moved + moved.T + rows * torch.outer(offset, offset)
            n.append(self._n[mine] + rows)
            sums.append(self._sums[mine] + total + rows * offset)
            grams.append(self._grams[mine] + gram)
        totals = other._class_totals.to(self.device)
        self._gram_of_set, self._n, self._sums, self._grams = gram_of_set.reshape(-1), np.array(n), sums, grams
        self._class_sums += other._class_sums.to(self.device) + torch.outer(offset, totals)
        self._class_totals += totals
        self._class_counts += other._class_counts.to(self.device)
        self._present = None

    def state(self) -> dict[str, NDArray]:
        """Return everything that a resume needs, by name."""
        rows = [rows for rows, _ in self._buffer] or [torch.zeros(0, self.width)]
        labels = [labels for _, labels in self._buffer] or [torch.zeros(0, len(self.label_sets), dtype=torch.float64)]
        shift = torch.zeros(0, dtype=self._dtype) if self._shift is None else self._shift
        tensors = {
            "shift": shift,
            "sums": torch.stack(self._sums),
            "grams": torch.stack(self._grams),
            "class_sums": self._class_sums,
            "class_totals": self._class_totals,
            "class_counts": self._class_counts,
            "waiting_rows": torch.cat(rows),
            "waiting_labels": torch.cat(labels),
        }
        arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
        return arrays | {"gram_of_set": self._gram_of_set.copy(), "n": self._n.copy()}

    def load(self, state: dict[str, NDArray]) -> None:
        """Continue from what `state` returned: the numbers that follow are the same to the bit."""
        on_device = {name: torch.from_numpy(np.array(array)).to(self.device) for name, array in state.items()}
        self._gram_of_set, self._n = state["gram_of_set"].copy(), state["n"].copy()
        self._shift = on_device["shift"] if len(state["shift"]) else None
        self._sums, self._grams = list(on_device["sums"]), list(on_device["grams"])
        self._class_sums, self._class_totals = on_device["class_sums"], on_device["class_totals"]
        self._class_counts, self._present = on_device["class_counts"], None
        self._buffer = []
        if len(state["waiting_rows"]):
            self._buffer = [(on_device["waiting_rows"], torch.from_numpy(np.array(state["waiting_labels"])))]

    # ---- sums

    def _add_buffer(self) -> None:
        """Add the rows that wait to the sums."""
        if not self._buffer:
            return
        rows = torch.cat([rows for rows, _ in self._buffer]).to(self._dtype)
        labels = torch.cat([labels for _, labels in self._buffer])
        self._buffer = []
        if self._shift is None:
            self._shift = rows.mean(0)
        z = rows - self._shift
        # Sets that differ in one of these rows part: those that still agree keep one Gram matrix.
        is_labelled = ~labels.isnan().numpy()
        for gram in range(len(self._n)):
            sets = np.flatnonzero(self._gram_of_set == gram)
            patterns, pattern_of_set = np.unique(is_labelled[:, sets], axis=1, return_inverse=True)
            pattern_of_set = pattern_of_set.reshape(-1)
            for pattern in range(1, patterns.shape[1]):
                self._gram_of_set[sets[pattern_of_set == pattern]] = len(self._n)
                self._n = np.append(self._n, self._n[gram])
                self._sums.append(self._sums[gram].clone())
                self._grams.append(self._grams[gram].clone())
        for gram, sets in enumerate(self._sets_of_grams()):
            is_member = is_labelled[:, sets[0]]
            part = z if is_member.all() else z[torch.from_numpy(is_member).to(self.device)]
            self._n[gram] += len(part)
            self._sums[gram] += part.sum(0)
            self._grams[gram].addmm_(part.T, part)
        labels = labels.to(self.device, self._dtype)
        classes = self.losses.classes_of(labels)
        codes = z.new_zeros(len(z), self.losses.n_classes + 1).scatter_(1, classes, 1.0)[:, :-1]
        self._class_counts += self.losses.count(labels)
        for s, each in enumerate(self.label_sets):
            if each.kind == "regression":
                codes[:, self.losses.class_starts[s]] = labels[:, s].nan_to_num()
        self._class_sums.addmm_(z.T, codes)
        self._class_totals += codes.sum(0)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self._dtype, device=self.device)

    def _sets_of_grams(self) -> list[list[int]]:
        """Return the label sets of each Gram matrix."""
        return [np.flatnonzero(self._gram_of_set == gram).tolist() for gram in range(len(self._n))]

    # ---- from sums to linear functions

    def _solving_device(self) -> torch.device:
        """Return where float64 matrices are decomposed."""
        return torch.device("cpu") if self._dtype == torch.float32 else self.device

    def _scaled_moments(self, gram: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean (d,) and scale (d,) of the rows of a Gram matrix, and the covariance (d, d) of scaled rows."""
        place = self._solving_device()
        if self._shift is None or not self._n[gram]:
            identity = torch.eye(self.width, dtype=torch.float64, device=place)
            return torch.zeros_like(identity[0]), torch.ones_like(identity[0]), identity
        n = int(self._n[gram])
        shift, total = (part.to(place, torch.float64) for part in (self._shift, self._sums[gram]))
        centre = total / n
        covariance = self._grams[gram].to(place, torch.float64) / n - torch.outer(centre, centre)
        mean, variance = shift + centre, covariance.diagonal().clamp_min(0)
        # A constant neuron differs from the shift by its rounding.
        is_constant = variance <= (16 * torch.finfo(self._dtype).eps) ** 2 * (variance + mean.square())
        if self.settings.scaling in ("unit", "paper"):
            scale = variance.sqrt()
        else:
            scale = variance.mean().sqrt().expand(self.width).clone()
        scale[is_constant | (scale == 0)] = torch.inf
        covariance = covariance / scale / scale[:, None]
        return mean, scale, covariance

    def _differences(self, s: int, mean: Tensor, scale: Tensor) -> Tensor:
        """Return the scaled class means less the mean (d, K), 0 for classes without rows; in regression cov(x, y)."""
        span = self._span(s)
        sums, totals, counts = (
            part.to(scale.device, torch.float64)
            for part in (self._class_sums[:, span], self._class_totals[span], self._class_counts[span])
        )
        shift = 0 if self._shift is None else self._shift.to(scale.device, torch.float64)
        differences = (sums - (mean - shift)[:, None] * totals) / counts.clamp_min(1)
        return differences / scale[:, None]

    def _linear(self, s: int, differences: Tensor, solved: Tensor) -> tuple[Tensor, Tensor]:
        """Return coef (r, outputs) and intercept (outputs,) for centred rows in the coordinates of D and G (r, K)."""
        counts = self._class_counts[self._span(s)].to(solved.device, torch.float64)
        n = counts.sum().clamp_min(1)
        if self.label_sets[s].kind == "regression":
            total = self._class_totals[self._span(s)].to(solved.device, torch.float64)
            return solved, total / n
        shares = counts / n
        within = torch.eye(len(shares), dtype=torch.float64, device=solved.device)
        within -= shares[:, None] * (differences.T @ solved)
        coef = torch.linalg.solve(within, solved, left=False)
        # A class without rows has the mean of all, and less than one row as its share.
        smallest = torch.where(counts > 0, 0.0, (0.5 / n).log())
        prior = smallest if self.settings.class_weight == "balanced" else shares.clamp_min(0.5 / n).log()
        intercept = prior - (coef * differences).sum(0) / 2
        if self.label_sets[s].kind == "binary":
            return coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]
        return coef, intercept

    def _span(self, s: int) -> slice:
        """Return the counted classes of a set."""
        start = self.losses.class_starts[s]
        return slice(start, start + self.label_sets[s].counted_classes)

    def _check_rows(self, s: int) -> None:
        """Refuse a label set that nothing can be learned of."""
        counts, each = self._class_counts[self._span(s)], self.label_sets[s]
        is_regression = each.kind == "regression"
        n, what = (int(counts.sum()), "rows") if is_regression else (int((counts > 0).sum()), "classes")
        if n < 2:
            raise ProbeError(f"The training rows of label set {each.name!r} have {n} {what}; at least 2 are needed.")
