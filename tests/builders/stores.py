"""Small stores: their plan, the activations in them, and stores with some of their parts written."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.locations import StorePath
from tests.builders.harvests import HOOK

SMALL_PLAN = StorePlan(
    {"model": "pythia-70m", "dataset_hash": "abc"}, (0, 3), (HOOK,), {HOOK: 33}, n_rows=10, part_rows=4, precision="32"
)
"""Two layers of 33 neurons, ten rows in parts of four."""


def random_bits(shape: tuple[int, ...], dtype: np.dtype, seed: int = 0) -> np.ndarray:
    """Return an array in which every bit pattern may occur, NaN and infinities included."""
    data = np.random.default_rng(seed).bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape)


def layer_values(plan: StorePlan, layer: int, seed: int = 0) -> np.ndarray:
    """Return the float32 activations of a layer, (rows, width): the same in every call."""
    shape = (plan.n_rows, plan.widths[plan.hook_points[0]])
    return np.random.default_rng([seed, layer]).standard_normal(shape).astype(np.float32)


def write_store(
    path: StorePath, kind: str = "zarr", parts: Iterable[int] | None = None, seed: int = 0, **changes: object
) -> ActivationStore:
    """Create a store with the small plan, or with changes of it, and write some of its parts (default all)."""
    plan = dataclasses.replace(SMALL_PLAN, **changes)
    store = STORES[kind].create(path, plan, np.arange(plan.n_rows) // 3, np.arange(plan.n_rows) % 3)
    for part in range(plan.n_parts) if parts is None else parts:
        rows = slice(*plan.part_range(part))
        arrays = {layer: layer_values(plan, layer, seed)[rows].astype(plan.buffer_dtype) for layer in plan.layers}
        store.write_part(part, {(plan.hook_points[0], layer): array for layer, array in arrays.items()})
    return store
