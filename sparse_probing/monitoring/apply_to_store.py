"""Apply saved probes to stored activations: no model runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from probing_datasets.foundation.errors import ProbeError, StoreError
from sparse_probing.activations.stores import ActivationStore
from sparse_probing.monitoring.score_files import (
    ScoredFile,
    check_table_name,
    finished_table,
    probe_digest,
    write_table,
)
from sparse_probing.monitoring.score_tables import score_columns
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import score_names

TABLE_VERSION = 1


def apply_to_store(
    probes: Sequence[ProbeData],
    store: ActivationStore,
    to: Path | str,
    allow_other_weights: bool = False,
    overwrite: bool = False,
) -> ScoredFile:
    """Score every row of a store, and write a Parquet table: ``sequence``, ``position`` (-1 when aggregated), scores.

    Parameters
    ----------
    probes : sequence of ProbeData
        Each reads a layer and hook point that the store holds.
    store : ActivationStore
        Of single tokens, or with the aggregation of the probes.
    to : path
        Must end in ``.parquet``.
    allow_other_weights : bool
        Score activations of weights that the probes were not trained on.
    overwrite : bool
        Replace a table that was made from other inputs.

    Raises
    ------
    StoreError
        When the store is of another model, does not hold a layer, has another aggregation, or is unfinished; when there
        is another table at ``to``.
    ProbeError
        When there is no probe.
    """
    to = Path(to)
    if not probes:
        raise ProbeError("There are no probes to apply.")
    check_table_name(to)
    for probe in probes:
        check_store(probe, store, allow_other_weights)
    plan = {
        "table_version": TABLE_VERSION,
        "store": store.digest,
        "probes": [probe_digest(probe) for probe in probes],
    }
    if finished := finished_table(to, plan, overwrite):
        return finished
    columns = score_columns(score_names(probes))
    sequence, position = store.rows
    scores = np.empty((len(sequence), len(columns)))
    with tqdm(total=len(sequence) * len(probes), unit=" rows", desc="apply", disable=None) as bar:
        at = 0
        for probe in probes:
            for start in range(0, len(sequence), store.plan.part_rows):
                rows = slice(start, min(start + store.plan.part_rows, len(sequence)))
                values = store.read(probe.layer, probe.hook_point, rows, probe.support, np.float64)
                scores[rows, at : at + len(probe.intercept)] = probe.scores_of_support(values)
                bar.update(len(values))
            at += len(probe.intercept)
    table = pa.table(
        {
            "sequence": pa.array(sequence),
            "position": pa.array(position),
            **{name: pa.array(scores[:, i]) for i, name in enumerate(columns)},
        }
    )
    return write_table(to, [table], plan, columns)


def check_store(probe: ProbeData, store: ActivationStore, allow_other_weights: bool = False) -> None:
    """Raise StoreError unless a store holds what a probe reads."""
    origin = store.plan.fingerprint
    if origin.get("weight_hash") != probe.weight_hash and not allow_other_weights:
        raise StoreError(
            f"The probe of {probe.feature!r} was trained on the weights {probe.weight_hash[:12]} of {probe.model!r}, "
            f"and the store at {store.path} was made with those of {origin.get('model')!r}. Harvest that model, or "
            "pass allow_other_weights (--allow_other_weights)."
        )
    if origin.get("tokenizer_hash") != probe.tokenizer_hash and not allow_other_weights:
        raise StoreError(
            f"The texts of the store at {store.path} were cut into tokens by another tokenizer than those of the probe "
            f"of {probe.feature!r}. Harvest with the tokenizer of {probe.model!r}, or pass allow_other_weights "
            "(--allow_other_weights)."
        )
    if origin["activation_aggregation"] not in ("none", probe.aggregation):
        possible = "none" if probe.is_trained_pooling else f"{probe.aggregation}, or with none"
        raise StoreError(
            f"The store at {store.path} holds the {origin['activation_aggregation']} of every sequence, and the probe "
            f"of {probe.feature!r} was trained with the aggregation {probe.aggregation}. Harvest with {possible} to "
            "score every token."
        )
