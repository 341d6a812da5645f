"""The invariants of a feature data set."""

from __future__ import annotations

import numpy as np

from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.feature_dataset.description import FeatureKind
from probing_datasets.foundation.errors import DatasetError


def validate(dataset: FeatureDataset) -> None:
    """Check every invariant of a data set.

    Raises
    ------
    DatasetError
        Naming the feature and the first sequence at fault.
    """
    d, lengths = dataset.description, dataset.lengths
    if not d.features:
        raise DatasetError(f"{d.name} has no feature left. {' '.join(d.dropped)}")
    shortest = d.n_prefix + d.n_suffix + 1
    _refuse(lengths < shortest, d.name, "sequence {} has no token besides the special ones")
    _refuse(lengths > d.context_length, d.name, "sequence {} is longer than the context length")
    for feature, info in d.features.items():
        probes, where = dataset.feature_probes(feature), f"{d.name}, feature {feature}"
        _refuse((probes.sequence < 0) | (probes.sequence >= len(lengths)), where, "probe {} names no sequence")
        outside = (probes.position < 0) | (probes.position >= lengths[probes.sequence])
        _refuse(outside, where, "probe {} lies outside its sequence")
        _refuse(~_valid_labels(info.kind, probes.label), where, f"probe {{}} has a label that is not {info.kind}")
        keys = probes.sequence * (d.context_length + 1) + probes.position
        if len(np.unique(keys)) < len(keys):
            raise DatasetError(f"{where}: a position is labelled twice.")


def _valid_labels(kind: FeatureKind, labels: np.ndarray) -> np.ndarray:
    if kind == "binary":
        return np.isin(labels, (-1, 1))
    if kind == "multiclass":
        return (labels >= 0) & (labels == np.round(labels))
    return np.isfinite(labels)


def _refuse(bad: np.ndarray, where: str, problem: str) -> None:
    if bad.any():
        raise DatasetError(f"{where}: {problem.format(int(np.flatnonzero(bad)[0]))} ({int(bad.sum())} in all).")
