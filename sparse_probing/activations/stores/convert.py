"""Copying a finished store into another encoding or precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.format.arrays import Activations, ArrayKey, array_keys
from sparse_probing.activations.stores.format.read_part import TENSOR_DTYPES
from sparse_probing.activations.stores.manifest.disk import check_free_space, required_bytes
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.repair import reopen_damaged_copies
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import Precision, StoreKind


def convert(
    source: ActivationStore, destination: StorePath, kind: StoreKind, precision: Precision | None = None
) -> ActivationStore:
    """Copy a store part by part into another encoding or precision; called again, it goes on, and mends damage.

    Values are rounded once, from those of the source; layers, rows and parts stay. The fingerprint of
    the new store is that of the source, so that stage 2 accepts it, and under ``converted_from`` it
    names the digest and the precision of the source.

    Parameters
    ----------
    source : ActivationStore
        A complete store.
    destination : StorePath
        Folder or URL of the new store.
    kind : {"zarr", "hdf5"}
        Encoding of the new store.
    precision : {"8", "16", "32", "bf16"}, optional
        Default that of the source.

    Returns
    -------
    ActivationStore
        The new store, complete.

    Raises
    ------
    StoreError
        When the source is unfinished or damaged, another store stands at ``destination``, or the disk
        is too full. Parts that are finished are kept.
    ActivationError
        When a value is NaN or infinite, or too large for the precision.
    """
    plan = _converted_plan(source, precision or source.plan.precision)
    store = STORES[kind].create(destination, plan, *source.rows)
    write_provenance(destination, {"converted_from": str(source.path), "source": read_provenance(source.path)})
    reopen_damaged_copies(store)
    open_parts = store.open_parts()
    check_free_space(destination, required_bytes(plan, len(open_parts)))
    for part in tqdm(open_parts, unit=" parts", desc="convert", disable=None):
        store.write_part(part, _converted_part(source, plan, part))
    return store


def _converted_plan(source: ActivationStore, precision: Precision) -> StorePlan:
    fingerprint = dict(source.plan.fingerprint)
    origin: dict[str, Any] = {"digest": source.digest, "precision": source.plan.precision}
    if earlier := fingerprint.get("converted_from"):
        origin["converted_from"] = earlier
    return dataclasses.replace(source.plan, precision=precision, fingerprint=fingerprint | {"converted_from": origin})


def _converted_part(source: ActivationStore, plan: StorePlan, part: int) -> Activations:
    rows = slice(*plan.part_range(part))
    return {key: _rounded(source.read_torch(key[1], key[0], rows), plan, part, key) for key in array_keys(plan)}


def _rounded(values: torch.Tensor, plan: StorePlan, part: int, key: ArrayKey) -> np.ndarray:
    """Return values in the dtype that a store of the plan takes; ActivationError when one does not fit."""
    rounded = values.to(TENSOR_DTYPES[plan.precision])
    # The extremes are finite only if all values are, and cost a tenth of asking every value.
    if not all(map(torch.isfinite, rounded.aminmax())):
        raise ActivationError(
            f"{key[0]}, layer {key[1]}, part {part}: {_why_not(values)}, which --output_precision {plan.precision} "
            "does not hold. Convert to bf16 or 32; if values are not numbers, harvest the store anew."
        )
    return rounded.view(torch.uint16).numpy() if plan.precision == "bf16" else rounded.numpy()


def _why_not(values: torch.Tensor) -> str:
    if n_not_finite := int((~values.isfinite()).sum()):
        return f"{n_not_finite} values are NaN or infinite"
    return f"the values go up to {values.abs().max():g}"
