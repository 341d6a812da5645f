"""Intervals and p-values of the held-out ROC-AUC of binary probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.below_chance import SENTENCE, below_chance
from sparse_probing.probes.inference.corrected_p_values import corrected_p_values
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.probes.inputs.blocks import column_blocks
from sparse_probing.probes.inputs.validation import Floats
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import FittedProbe


def with_intervals(data: FeatureData, probes: Sequence[FittedProbe], confidence: float) -> list[FittedProbe]:
    """Return the probes with the interval and p-value of their ROC-AUC on the test rows; groups are independent.

    Probes that have a p-value keep it. Those of directions that are not in the layer, such as random subspaces, and of
    features that are not binary, have none. Where the groups do not allow one, it is NaN, and the status says why.

    Parameters
    ----------
    data : FeatureData
        What the probes were fitted to.
    probes : sequence of FittedProbe
    confidence : float
        Level of the intervals.
    """
    positions = [i for i, probe in enumerate(probes) if _wants_interval(data, probe)]
    if not positions:
        return list(probes)
    scores = np.stack([_scores(data, probes[i]) for i in positions], axis=1)
    try:
        areas = roc_inference(data.test.label, scores, data.test.group, confidence)
        table, remark = np.stack([areas.low, areas.high, areas.p_value]), ""
    except ProbeError as error:
        table, remark = np.full((3, len(positions)), np.nan), f" No interval: {error}"
    completed = list(probes)
    reversed_there = below_chance(table[1], corrected_p_values(table[2]), confidence)
    reversed_there &= [probes[i].metrics["train_roc_auc"] > 0.5 for i in positions]
    for i, (low, high, p_value), is_below in zip(positions, table.T, reversed_there, strict=True):
        columns = {"test_roc_auc_low": float(low), "test_roc_auc_high": float(high), "p_value": float(p_value)}
        probe = probes[i]
        status = probe.status + remark + (f" {SENTENCE}" if is_below and not data.variant.control else "")
        completed[i] = replace(probe, status=status, further={**probe.further, **columns})
    return completed


def _wants_interval(data: FeatureData, probe: FittedProbe) -> bool:
    is_in_layer = probe.further.get("basis", data.variant.basis) == data.variant.basis
    has_area = "test_roc_auc" in probe.metrics and "p_value" not in probe.further
    return data.kind == "binary" and is_in_layer and has_area


def _scores(data: FeatureData, probe: FittedProbe) -> Floats:
    """Return the decision values (n_test,), less the intercept."""
    scores = np.zeros(len(data.test.row))
    for columns, block in column_blocks(data.layer[np.ix_(data.test.row, probe.support)]):
        scores += probe.coef[columns] @ block
    return scores
