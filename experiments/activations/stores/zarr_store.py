"""The zarr v3 encoding: one array per hook point and layer, one shard per part.

The folder is a zarr group that any zarr v3 reader opens; the array of layer 3 is
``<hook_point>/layer_03``, ``(n_rows, width)``. Rows of unfinished parts read as NaN there.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from experiments.activations.plan import Precision, StorePlan
from experiments.activations.stores.arrays import Activations, ArrayKey, array_keys
from experiments.activations.stores.shards import ShardLayout, encode_shard, read_shard
from experiments.activations.stores.store import ActivationStore

METADATA = "zarr.json"

ZARR_DTYPES: dict[Precision, str] = {"16": "float16", "32": "float32", "bf16": "uint16"}
BFLOAT16_NAN_BITS = 0x7FC0


class ZarrStore(ActivationStore):
    """Activations as a zarr v3 group of uncompressed, checksummed shards."""

    kind = "zarr"

    @staticmethod
    def _metadata(plan: StorePlan) -> dict[str, bytes]:
        arrays = {f"{_array_name(key)}/{METADATA}": _array_metadata(plan, key) for key in array_keys(plan)}
        groups = {f"{hook_point}/{METADATA}": _group_metadata() for hook_point in plan.hook_points}
        files = {**arrays, **groups, METADATA: _group_metadata()}
        return {name: json.dumps(value, indent=1).encode() for name, value in files.items()}

    def _part_files(self, part: int) -> dict[str, ArrayKey]:
        return {_shard_name(key, part): key for key in array_keys(self.plan)}

    def _encode(self, name: str, part: int, activations: Activations) -> memoryview:
        key = self._part_files(part)[name]
        return encode_shard(_layout(self.plan, key), activations[key]).data

    def _read_part(self, key: ArrayKey, part: int, rows: slice, columns: np.ndarray | None, out: np.ndarray) -> None:
        start, stop = self.plan.part_range(part)
        path = self.path / _shard_name(key, part)
        read_shard(_layout(self.plan, key), path, rows, columns, out, check=len(out) == stop - start)


def _array_name(key: ArrayKey) -> str:
    return f"{key[0]}/layer_{key[1]:02d}"


def _shard_name(key: ArrayKey, part: int) -> str:
    """Return the file of a shard: with ``.`` as separator, an array is one folder."""
    return f"{_array_name(key)}/c.{part}.0"


def _layout(plan: StorePlan, key: ArrayKey) -> ShardLayout:
    return ShardLayout(plan.part_rows, plan.widths[key[0]], plan.stored_dtype)


def _group_metadata() -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": {}}


def _array_metadata(plan: StorePlan, key: ArrayKey) -> dict[str, Any]:
    layout = _layout(plan, key)
    is_bfloat16 = plan.precision == "bf16"
    attributes = {"hook_point": key[0], "layer": key[1]}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [plan.n_rows, layout.width],
        "data_type": ZARR_DTYPES[plan.precision],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [layout.rows, layout.width]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": BFLOAT16_NAN_BITS if is_bfloat16 else "NaN",
        "codecs": [_sharding_codec(layout)],
        "attributes": attributes | ({"bits_of": "bfloat16"} if is_bfloat16 else {}),
        "dimension_names": ["row", "neuron"],
    }


def _sharding_codec(layout: ShardLayout) -> dict[str, Any]:
    checked_bytes = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    configuration = {
        "chunk_shape": [layout.rows, layout.chunk_columns],
        "codecs": checked_bytes,
        "index_codecs": checked_bytes,
        "index_location": "end",
    }
    return {"name": "sharding_indexed", "configuration": configuration}
