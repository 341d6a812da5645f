"""The zarr v3 encoding: one array per hook point and layer, one shard per part.

The folder is a zarr group that any zarr v3 reader opens; the array of layer 3 is
``<hook_point>/layer_03``, ``(n_rows, width)``. Rows of unfinished parts are NaN there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from upath import UPath

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.activation_store import ActivationStore
from sparse_probing.activations.stores.format.blocks import BlockLayout
from sparse_probing.activations.stores.format.shard_bytes import encode_shard, shard_layout
from sparse_probing.activations.stores.format.stored_arrays import FILL_VALUES, StoredArray, stored_arrays
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.checksums import FileRecord
from sparse_probing.activations.stores.storage.locations import local_path

if TYPE_CHECKING:
    import zarr

METADATA = "zarr.json"


class ZarrStore(ActivationStore):
    """Activations as a zarr v3 group of uncompressed shards with checksums."""

    kind = "zarr"

    def zarr_group(self) -> zarr.Group:
        """Return the store as a group of zarr, read-only.

        ``store.zarr_group()["mlp.hook_post/layer_03"]`` is an array ``(n_rows, width)``, in rows of unfinished parts
        NaN; bfloat16 is stored as its bits (uint16), and precision 8 as codes beside ``_scale`` and ``_offset``.

        Raises
        ------
        CorruptStoreError
            When the metadata of zarr are not those of the plan. So no codec runs that the plan does not have.
        """
        import zarr  # here: nothing else needs it, and the import takes time

        for name, data in self._metadata(self.plan).items():
            if reason := FileRecord.of(data).damage(self.path / name):
                raise CorruptStoreError(
                    f"{self.path / name} is not what the plan says ({reason}). Run the command that made the store "
                    "again: it writes the file again."
                )
        if (local := local_path(self.path)) is not None:
            return zarr.open_group(local, mode="r")
        remote = UPath(self.path)
        return zarr.open_group(remote.as_uri(), mode="r", storage_options=dict(remote.storage_options))

    @staticmethod
    def _metadata(plan: StorePlan) -> dict[str, bytes]:
        arrays = {f"{array.name}/{METADATA}": _array_metadata(array) for array in stored_arrays(plan)}
        groups = {f"{hook_point}/{METADATA}": _group_metadata() for hook_point in plan.hook_points}
        files = {**arrays, **groups, METADATA: _group_metadata()}
        return {name: json.dumps(value, indent=1).encode() for name, value in files.items()}

    @staticmethod
    def _file_name(array: StoredArray, part: int) -> str:
        return f"{array.name}/c.{part}.0"  # with "." as separator, an array is one folder

    @staticmethod
    def _layout(array: StoredArray) -> BlockLayout:
        return shard_layout(array.part_rows, array.width, array.dtype)

    @staticmethod
    def _encode(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
        return encode_shard(layout, values)


def _group_metadata() -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": {}}


def _array_metadata(array: StoredArray) -> dict[str, Any]:
    fill_value = FILL_VALUES[array.dtype.name]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [array.n_rows, array.width],
        "data_type": array.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [array.part_rows, array.width]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": "NaN" if np.isnan(fill_value) else fill_value,
        "codecs": [_sharding_codec(shard_layout(array.part_rows, array.width, array.dtype))],
        "attributes": array.attributes,
        "dimension_names": ["row" if array.component == "values" else "block", "neuron"],
    }


def _sharding_codec(layout: BlockLayout) -> dict[str, Any]:
    endian = {"configuration": {"endian": "little"}} if layout.dtype.itemsize > 1 else {}
    configuration = {
        "chunk_shape": [layout.rows, layout.block_columns],
        "codecs": [{"name": "bytes", **endian}, {"name": "crc32c"}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {"name": "sharding_indexed", "configuration": configuration}
