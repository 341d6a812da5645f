"""Baselines of the paper: what directions without a meaning can do in place of neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import LabelledRows
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.probes.rankings import rank_layer
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons
from sparse_probing.studies.base.metrics import classification
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.single_neurons import single_neuron_probes

SUBSPACES_OF_ONE_DIRECTION = 16
"""Number of random subspaces of dimension 1; of dimension k it is divided by the square root of k."""
TOP_DIRECTIONS = 100
"""Best-ranked directions, and neurons, that each get their own probe."""


def n_subspaces(k: int) -> int:
    """Return the paper's number of random subspaces of dimension k, but at least one.

    Examples
    --------
    >>> [n_subspaces(k) for k in (1, 2, 4, 16, 128, 1024)]
    [16, 11, 8, 4, 1, 1]
    """
    return max(1, round(SUBSPACES_OF_ONE_DIRECTION / k**0.5))


def fit_subspaces(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit logistic probes to random k-dimensional subspaces of the layer, for every k.

    Each subspace is drawn afresh, independently of the others: its basis is orthonormal, and uniformly distributed.
    The support of a row numbers the k directions of its subspace, which ``trial`` numbers. The standard error of the
    mean test F1 over the subspaces of a k is in each of their rows.
    """
    C, n_train = config.fit.C, len(data.train.row)
    rows = np.concatenate([data.train.row, data.test.row])
    layer = data.layer[rows].astype(np.float32)
    own_rows = {
        "train": replace(data.train, row=np.arange(n_train)),
        "test": replace(data.test, row=np.arange(n_train, len(rows))),
    }
    probes = []
    for k in config.search.sparsity_levels(data.width):
        of_k = []
        for trial in range(n_subspaces(k)):
            gaussian = data.rng(f"subspace {trial} of dimension {k}").standard_normal((data.width, k))
            directions = np.linalg.qr(gaussian)[0].astype(np.float32)
            subspace = replace(data, layer=layer @ directions, **own_rows).select()
            fits = fit_nested_top_k(subspace.x_train, subspace.y_train, [k], C=C)
            (metrics,) = subspace.metrics(lambda x, f=fits: nested_scores(f, x), classification(subspace.y_train))
            further = {"basis": "subspace", "trial": trial, "regularization": C, "density": k / data.width}
            of_k.append(subspace.logistic_probe(slice(k), fits[k], metrics, **further))
        f1 = np.array([probe.metrics["test_f1_score"] for probe in of_k])
        error = float(f1.std(ddof=1) / np.sqrt(len(f1))) if len(f1) > 1 else None
        probes += [replace(p, further={**p.further, "test_f1_score_standard_error": error}) for p in of_k]
    return probes


def fit_single_directions(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Fit one probe to each of the best-ranked neurons, and of the best-ranked directions of random products.

    The scaled neurons (n, d) are multiplied by ``--n_trials`` Gaussian matrices (d, d), which are not orthogonal, and
    not scaled again. The rows of directions have the basis ``projection``; their coefficients are for the products.
    """
    ranking, C = config.search.heuristic_feature_selection_method, config.fit.C
    nominal = data.select(data.top(ranking, TOP_DIRECTIONS))
    probes = []
    for neurons, basis, trial in ((nominal, "neurons", 0), *_products(config, data, ranking)):
        fits = fit_single_neurons(neurons.x_train, neurons.y_train, C=C)
        metrics = neurons.metrics(lambda x, f=fits: x * f.coef + f.intercept, classification(neurons.y_train))
        of_basis = single_neuron_probes(neurons, fits, metrics, ranking)
        probes += [replace(p, further={**p.further, "basis": basis, "trial": trial}) for p in of_basis]
    return probes


def _products(config: ProbingConfig, data: FeatureData, ranking: str) -> Iterator[tuple[SelectedNeurons, str, int]]:
    """Yield the best-ranked directions of every random product, with the name of the basis and the trial."""
    neurons = data.select()
    x_train, x_test = (x.astype(np.float32, copy=False) for x in (neurons.x_train, neurons.x_test))
    labelled = [LabelledRows(np.arange(len(x_train)), neurons.y_train)]
    for trial in range(config.statistics.n_trials):
        rng = data.rng(f"product {trial}")
        directions = rng.standard_normal((data.width, data.width), dtype=np.float32)
        product = x_train @ directions
        scores = rank_layer(product, labelled, ranking, [rng])[0]
        best = top_neurons(scores, min(TOP_DIRECTIONS, data.width))
        yield (
            SelectedNeurons(best, product[:, best], neurons.y_train, x_test @ directions[:, best], neurons.y_test),
            "projection",
            trial,
        )
