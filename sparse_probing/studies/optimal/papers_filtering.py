"""The paper's ``test_osp_heuristic_filtering``: the whole layer against the 50 neurons of a dense probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.optimal.candidates import Candidates, filter_size
from sparse_probing.studies.optimal.filter_loss import compare_with_layer
from sparse_probing.studies.optimal.papers_pruning import RIDGE

FILTER = "elastic_net"
"""Name of the filter in the column ``ranking``."""
C, L1_RATIO = 1.0, 0.8
"""Penalty of the dense probe."""


def n_searches(config: ProbingConfig) -> int:
    """Return the largest number of searches for one feature: in the layer, and after the filter."""
    return config.optimal.osp_upto_k * 2


def fit(config: ProbingConfig, data: FeatureData) -> list[FittedProbe]:
    """Search the whole layer and the filtered one for k = 1, 2, ...; ``excess`` is what the filter loses."""
    filtered = Candidates(config, data, data.select(largest_coefficients(config, data)), FILTER)
    return compare_with_layer(config, data, [filtered], RIDGE / np.sqrt(filtered.n_train))


def largest_coefficients(config: ProbingConfig, data: FeatureData) -> Integers:
    """Return the neurons, in increasing order, that have the largest coefficients in an elastic-net probe of all.

    The paper's probe: logistic, balanced, on neurons of standard deviation 0.1. Of equal coefficients, such as zeros,
    the lower neuron comes first.
    """
    neurons = replace(data, scaling="paper").select()
    (probe,) = fit_l1_path(neurons.x_train, neurons.y_train, Cs=[C], l1_ratio=L1_RATIO, standardize=False).fits
    size = np.zeros(data.width)
    size[probe.support] = np.abs(probe.coef)
    return np.sort(top_neurons(size, min(filter_size(config), data.width)))
