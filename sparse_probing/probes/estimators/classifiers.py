"""Logistic probes: top-k, single neuron, dense, L1."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.estimators.binary import BinaryProbe
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.l2.choose_C import C_GRID
from sparse_probing.probes.l2.held_out_scores import dense_held_out_scores, nested_held_out_scores
from sparse_probing.probes.l2.logistic import fit_dense, fit_nested_top_k
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.probes.splits.grouped_split import Split


class TopKProbe(BinaryProbe):
    """A logistic probe of the best-ranked neurons, with the fitted attributes of :class:`BinaryProbe`.

    Parameters
    ----------
    k : int
        Number of neurons of the probe; all neurons if there are fewer.
    ranking : str
        A name in :data:`sparse_probing.probes.rankings.RANKINGS`; ``fit`` ranks on its rows.
    C : float or None
        Weight of the loss against the ridge. None chooses it on validation folds of the rows of ``fit``, with
        whole groups; 1 where a class has too few groups for two folds.
    balanced : bool
        Weigh rows by n / (2 n_class), so that a rare class counts as much as the other one.
    scaling : {"rms", "unit", "paper", "none"}
        How neurons are scaled for the fit: divided by one number, the root mean square of all of them around
        their means; each to mean 0 and deviation 1; each divided by ten times its deviation; or not at all.
        Coefficients are always those of unscaled neurons.
    random_state : int, RandomState or None
        Seed of rankings that draw random numbers.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(200, 50)), np.repeat(["code", "prose"], 100)
    >>> X[y == "prose", 7] += 3
    >>> probe = TopKProbe(k=1).fit(X, y)
    >>> probe.support_.tolist(), probe.score(X, y) > 0.9
    ([7], True)
    """

    def __init__(
        self,
        k: int = 8,
        ranking: str = "auc",
        C: float | None = None,
        balanced: bool = True,
        scaling: Scaling = "rms",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.k = k
        self.ranking = ranking
        self.C = C
        self.balanced = balanced
        self.scaling = scaling
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Rank the neurons of ``X`` (n, d) for the labels ``y`` (n,) and fit the best ones together.

        ``groups`` (n,) are the rows that the choice of C keeps together, every row its own group by default.
        """
        activations, labels = self._training_rows(X, y)
        rows, standardiser = self._scaled(activations)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        support = top_neurons(rank_neurons(rows, labels, self.ranking, rng), min(self.k, rows.shape[1]))
        ranked, k = rows[:, support], len(support)

        def held_out(folds: list[Split]) -> Floats:
            return nested_held_out_scores(ranked, labels, [k], folds, C_GRID, self._class_weight)

        C = self._chosen_C(self.C, labels, groups, held_out)
        fits = fit_nested_top_k(ranked, labels, [k], C, self._class_weight)
        return self._set_fit(support, fits[k], standardiser)


class SingleNeuronProbe(BinaryProbe):
    """A logistic probe of one neuron, with the fitted attributes of :class:`BinaryProbe`.

    Parameters
    ----------
    neuron : int or None
        The neuron; None selects the one with the best ROC-AUC on the rows of ``fit``, of equal ones the one
        whose class means are farthest apart in standard deviations.
    C : float or None
        Weight of the loss against the ridge. None chooses it on validation folds of the rows of ``fit``, with
        whole groups; 1 where a class has too few groups for two folds.
    balanced : bool
        Weigh rows by n / (2 n_class), so that a rare class counts as much as the other one.
    scaling : {"rms", "unit", "paper", "none"}
        How neurons are scaled for the fit: divided by one number, the root mean square of all of them around
        their means; each to mean 0 and deviation 1; each divided by ten times its deviation; or not at all.
        Coefficients are always those of unscaled neurons.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(200, 50)), np.repeat([0, 1], 100)
    >>> X[y == 1, 7] -= 3
    >>> probe = SingleNeuronProbe().fit(X, y)
    >>> probe.support_.tolist(), bool(probe.coef_[0, 7] < 0)
    ([7], True)
    """

    def __init__(
        self, neuron: int | None = None, C: float | None = None, balanced: bool = True, scaling: Scaling = "rms"
    ) -> None:
        self.neuron = neuron
        self.C = C
        self.balanced = balanced
        self.scaling = scaling

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the neuron of ``X`` (n, d) for the labels ``y`` (n,), or the best by the ranking ``auc``.

        ``groups`` (n,) as in :meth:`TopKProbe.fit`.
        """
        activations, labels = self._training_rows(X, y)
        d = activations.shape[1]
        if self.neuron is not None and not 0 <= self.neuron < d:
            raise ProbeError(f"There is no neuron {self.neuron} among {d}. Choose from 0 to {d - 1}.")
        candidates = np.arange(d) if self.neuron is None else np.array([self.neuron])
        rows, standardiser = self._scaled(activations)
        columns = rows[:, candidates]
        best = int(top_neurons(rank_neurons(columns, labels, "auc", np.random.default_rng(0)), 1)[0])
        column = columns[:, [best]]

        def held_out(folds: list[Split]) -> Floats:
            return nested_held_out_scores(column, labels, [1], folds, C_GRID, self._class_weight)

        C = self._chosen_C(self.C, labels, groups, held_out)
        fit = fit_single_neurons(column, labels, C, self._class_weight).neuron(0)
        return self._set_fit(candidates[[best]], fit, standardiser)


class DenseProbe(BinaryProbe):
    """A logistic probe of all neurons, with the fitted attributes of :class:`BinaryProbe`.

    Parameters
    ----------
    C : float or None
        Weight of the loss against the ridge. None chooses it on validation folds of the rows of ``fit``, with
        whole groups; 1 where a class has too few groups for two folds.
    balanced : bool
        Weigh rows by n / (2 n_class), so that a rare class counts as much as the other one.
    scaling : {"rms", "unit", "paper", "none"}
        How neurons are scaled for the fit: divided by one number, the root mean square of all of them around
        their means; each to mean 0 and deviation 1; each divided by ten times its deviation; or not at all.
        Coefficients are always those of unscaled neurons.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(200, 5)), np.repeat([False, True], 100)
    >>> X[y] += 1
    >>> DenseProbe().fit(X, y).predict_proba(X).shape
    (200, 2)
    """

    def __init__(self, C: float | None = None, balanced: bool = True, scaling: Scaling = "rms") -> None:
        self.C = C
        self.balanced = balanced
        self.scaling = scaling

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit all neurons of ``X`` (n, d) for the labels ``y`` (n,); ``groups`` as in :meth:`TopKProbe.fit`."""
        activations, labels = self._training_rows(X, y)
        rows, standardiser = self._scaled(activations)

        def held_out(folds: list[Split]) -> Floats:
            return dense_held_out_scores(rows, labels, folds, C_GRID, self._class_weight)

        C = self._chosen_C(self.C, labels, groups, held_out)
        fit = fit_dense(rows, labels, C, self._class_weight)
        return self._set_fit(np.arange(rows.shape[1]), fit, standardiser)


class L1Probe(BinaryProbe):
    """A logistic probe that an L1 penalty makes sparse, with the fitted attributes of :class:`BinaryProbe`.

    Parameters
    ----------
    C : float
        Weight of the loss against the penalty: the smaller, the fewer neurons.
    l1_ratio : float
        Share of the penalty that is L1, above 0 and up to 1; the rest is a ridge.
    balanced : bool
        Weigh rows by n / (2 n_class), so that a rare class counts as much as the other one.
    standardize : bool
        Penalise the coefficients of neurons that are scaled to deviation 1. Coefficients are always
        those of unscaled neurons.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(200, 50)), np.repeat([0, 1], 100)
    >>> X[y == 1, 7] += 3
    >>> L1Probe(C=0.02).fit(X, y).support_.tolist()
    [7]
    """

    def __init__(self, C: float = 1.0, l1_ratio: float = 1.0, balanced: bool = True, standardize: bool = True) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.balanced = balanced
        self.standardize = standardize

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the neurons of ``X`` (n, d) for the labels ``y`` (n,); the penalty selects them."""
        activations, labels = self._training_rows(X, y)
        path = fit_l1_path(
            activations,
            labels,
            [self.C],
            l1_ratio=self.l1_ratio,
            class_weight=self._class_weight,
            standardize=self.standardize,
        )
        self.C_ = self.C
        return self._set_fit(path.fits[0].support, path.fits[0])
