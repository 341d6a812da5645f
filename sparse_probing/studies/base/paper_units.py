"""Neurons in the units of the paper's code, in which its penalties mean what they mean there."""

from __future__ import annotations

import numpy as np

from sparse_probing.config import ProbingConfig, RankingName
from sparse_probing.probes.inputs.scaling import Standardiser
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.studies.base.feature_data import FeatureData, SelectedNeurons

DEVIATIONS = 10.0
"""Standard deviations by which a neuron is divided, so that its own is 0.1."""
LEAST_DEVIATION = 1e-3
"""Smaller standard deviations count as this one."""


def in_paper_units(data: FeatureData, neurons: Integers | None = None) -> SelectedNeurons:
    """Return these neurons, or all, divided by ten standard deviations of the training rows, and not centred.

    This is what ``--normalize_activations`` does in the code of Gurnee et al. (2023); the intercept of a probe is
    not penalised and absorbs the means. It replaces any other scaling.
    """
    indices = np.arange(data.width) if neurons is None else np.asarray(neurons)
    values = data.layer if neurons is None else data.layer[:, indices]
    x_train, x_test = values[data.train.row], values[data.test.row]
    deviation = np.maximum(x_train.std(axis=0, dtype=np.float64), LEAST_DEVIATION)
    scale = Standardiser(np.zeros(len(indices), np.float32), (DEVIATIONS * deviation).astype(np.float32))
    return SelectedNeurons(indices, scale.apply(x_train), data.train.label, scale.apply(x_test), data.test.label, scale)


def ranking_in_paper_units(config: ProbingConfig) -> tuple[RankingName, ...]:
    """Return the ranking of ``--heuristic_feature_selection_method`` for neurons in these units.

    The paper's code ranks the neurons after it has scaled them. The difference of the means of scaled neurons is
    ``mean_dif_standardised``; no other ranking depends on the scale.
    """
    name = config.search.heuristic_feature_selection_method
    return ("mean_dif_standardised" if name == "mean_dif" else name,)
