"""Copy a complete store into another encoding or precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from probing_datasets.foundation.errors import ActivationError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.store_operations.repair import reopen_damaged_copies
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.format.stored_arrays import ArrayKey, array_keys
from sparse_probing.activations.stores.manifest.disk_space import check_free_space, required_bytes
from sparse_probing.activations.stores.manifest.provenance import read_provenance, write_provenance
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.activations.stores.storage.writers import claim_writing
from sparse_probing.config import Precision, StoreKind

TENSOR_DTYPES: dict[Precision, torch.dtype] = {
    "8": torch.float32,
    "16": torch.float16,
    "32": torch.float32,
    "bf16": torch.bfloat16,
}
"""The dtype to which values are rounded; one byte is made from float32 by the store."""


def convert(
    source: ActivationStore, destination: StorePath, kind: StoreKind, precision: Precision | None = None
) -> ActivationStore:
    """Copy a store part by part into another encoding or precision; called again, it resumes and repairs damage.

    Values are rounded once, from those of the source; layers, rows and parts are the same. The fingerprint
    of the new store is that of the source, so that stage 2 accepts it, with the digest and the precision of
    the source under ``converted_from``.

    Parameters
    ----------
    source : ActivationStore
        A complete store.
    destination : StorePath
        Folder or URL of the new store.
    kind : {"zarr", "hdf5"}
        Encoding of the new store.
    precision : {"8", "16", "32", "bf16"}, optional
        Precision of the new store. Default: that of the source.

    Returns
    -------
    ActivationStore
        The new store, complete.

    Raises
    ------
    StoreError
        When the source is unfinished or damaged, another store exists at ``destination``, or the disk
        is too full. Finished parts are kept.
    ActivationError
        When a value is NaN or infinite, or too large for the precision.
    """
    origin: dict[str, Any] = {"digest": source.digest, "precision": source.plan.precision}
    if "converted_from" in source.plan.fingerprint:
        origin["converted_from"] = source.plan.fingerprint["converted_from"]
    plan = dataclasses.replace(
        source.plan,
        precision=precision or source.plan.precision,
        fingerprint=source.plan.fingerprint | {"converted_from": origin},
    )
    with claim_writing(destination, digest_json([kind, plan.to_json()])):
        store = STORES[kind].create(destination, plan, *source.rows)
        write_provenance(destination, {"converted_from": str(source.path), "source": read_provenance(source.path)})
        reopen_damaged_copies(store)
        open_parts = store.open_parts()
        check_free_space(destination, required_bytes(plan, len(open_parts)))
        for part in tqdm(open_parts, unit=" parts", desc="convert", disable=None):
            rows = slice(*plan.part_range(part))
            activations: dict[ArrayKey, np.ndarray] = {}
            for hook_point, layer in array_keys(plan):
                values = source.read_torch(layer, hook_point, rows)
                where = f"{hook_point}, layer {layer}, part {part}"
                activations[hook_point, layer] = _round(values, plan.precision, where)
            store.write_part(part, activations)
    return store


def _round(values: torch.Tensor, precision: Precision, where: str) -> np.ndarray:
    """Return values in the dtype that a store of a precision takes; ActivationError when one is out of range."""
    rounded = values.to(TENSOR_DTYPES[precision])
    # The extremes are finite only if all values are, and cost a tenth of a check of every value.
    if not all(map(torch.isfinite, rounded.aminmax())):
        n_not_finite = int((~values.isfinite()).sum())
        reason = f"the values go up to {values.abs().max():g}"
        if n_not_finite:
            reason = f"{n_not_finite} values are NaN or infinite"
        raise ActivationError(
            f"{where}: {reason}, which --output_precision {precision} cannot hold. "
            "Convert to bf16 or 32; if values are NaN or infinite, harvest the store again."
        )
    return rounded.view(torch.uint16).numpy() if precision == "bf16" else rounded.numpy()
