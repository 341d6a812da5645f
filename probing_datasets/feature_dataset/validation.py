"""The invariants of a feature data set."""

from __future__ import annotations

import numpy as np

from probing_datasets.feature_dataset.dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError


def validate(dataset: FeatureDataset) -> None:
    """Check every invariant of a data set.

    Raises
    ------
    DatasetError
        When an invariant does not hold; the message names the feature and the first sequence or probe at fault.
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
        _refuse(outside, where, "probe {} is outside its sequence")
        if info.kind == "binary":
            is_valid = np.isin(probes.label, (-1, 1))
        elif info.kind == "multiclass":
            n_classes = len(info.classes) or np.inf
            is_valid = (probes.label >= 0) & (probes.label == np.round(probes.label)) & (probes.label < n_classes)
        else:
            is_valid = np.isfinite(probes.label)
        _refuse(~is_valid, where, f"probe {{}} has a label that is not {info.kind}")
        keys = probes.sequence * (d.context_length + 1) + probes.position
        if len(np.unique(keys)) < len(keys):
            raise DatasetError(f"{where}: a position is labelled twice.")


def _refuse(is_bad: np.ndarray, where: str, message: str) -> None:
    if is_bad.any():
        first, n_bad = int(np.flatnonzero(is_bad)[0]), int(is_bad.sum())
        raise DatasetError(f"{where}: {message.format(first)} ({n_bad} in all).")
