"""Fit a study to activations in memory: what arrays of a user and rows of probes trained online share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.probes.inputs.one_thread import one_thread
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_splits import FeatureSplit
from sparse_probing.studies.base.fit_variant import add_failures, fit_variant
from sparse_probing.studies.base.interruption import deliver, signals_noted
from sparse_probing.studies.base.probe_row import probe_row
from sparse_probing.studies.base.variant_data import data_of_variants


def fit_layer(
    config: ProbingConfig, name: StudyName, splits: Sequence[FeatureSplit], layer: int, activations: NDArray
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows of a study on one layer, to the last bit those of a task on a store of the same activations.

    Parameters
    ----------
    config : ProbingConfig
    name : str
        Name of the study.
    splits : sequence of FeatureSplit
        The features, each with its training and test rows.
    layer : int
        Number of the layer.
    activations : (N, width) array
        With contiguous columns, as a layer is read from a store; the control ``random_init`` is not fitted.

    Returns
    -------
    rows : list of dict
    failures : dict
        Why a feature could not be probed, by feature.
    """
    study, rows, failures = STUDIES[name], [], {}
    config = study.resolved(config)
    variants = study.variants(config, with_random_init=False)
    with one_thread():  # as in a task: several threads add numbers in another order
        for data_of_features in data_of_variants(config, variants, splits, layer, lambda _random_init: activations):
            # As in a task: a signal that ends a search is not left over when the fit raises an error after it.
            with signals_noted() if study.slow else nullcontext():
                fittings = fit_variant(config, study, data_of_features)
            deliver()  # a signal that ended a search early ends this function too
            add_failures(failures, fittings.failures)
            rows += [probe_row(config, name, layer, data, probe) for data, probe in fittings.probes]
    return rows, failures
