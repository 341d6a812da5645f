"""Fit a study to all features of a layer; a feature that cannot be probed does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probing_datasets.foundation.errors import DatasetError, ProbeError, SplitError
from sparse_probing.config import ProbingConfig
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.held_out_intervals import with_intervals
from sparse_probing.studies.base.rank_neurons import ranked
from sparse_probing.studies.base.result_rows import FittedProbe
from sparse_probing.studies.base.study import Study

FAILURES_OF_A_FEATURE = (SplitError, ProbeError, DatasetError, np.linalg.LinAlgError)


@dataclass
class Fittings:
    """The fitted probes, and the features that could not be probed."""

    probes: list[tuple[FeatureData, FittedProbe]] = field(default_factory=list)
    """Each probe with the data that it was fitted to."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why a feature could not be probed, by feature."""


def fit_variant(config: ProbingConfig, study: Study, features: Sequence[FeatureData]) -> Fittings:
    """Rank the neurons for all features of a layer in one variant, and fit the study to each feature."""
    fittings, config = Fittings(), study.resolved(config)
    try:
        features, is_ranked = ranked(features, study.rankings_of(config)), True
    except FAILURES_OF_A_FEATURE:
        is_ranked = False  # each is ranked separately below, so that only the one at fault fails
    for data in features:
        try:
            complete = data if is_ranked else ranked([_with_own_rows_only(data)], study.rankings_of(config))[0]
            probes = with_intervals(complete, study.fit(config, complete), config.statistics.confidence)
            fittings.probes += [(data, probe) for probe in probes]
        except FAILURES_OF_A_FEATURE as error:
            failure = f"{data.variant.control or data.variant.basis}, fold {data.fold}: {error}"
            add_failures(fittings.failures, {data.feature: failure})
    return fittings


def add_failures(failures: dict[str, str], further: dict[str, str]) -> None:
    """Add failures to others; a feature that is in both gets both reasons."""
    for feature, reason in further.items():
        failures[feature] = f"{failures[feature]}; {reason}" if feature in failures else reason


def _with_own_rows_only(data: FeatureData) -> FeatureData:
    """Return the data on a copy of its rows only, so that no other row can be at fault."""
    train, n_train = data.train, len(data.train.row)
    rows = np.concatenate([train.row, data.test.row])
    return replace(
        data,
        layer=data.layer[rows],
        train=replace(train, row=np.arange(n_train)),
        test=replace(data.test, row=np.arange(n_train, len(rows))),
    )
