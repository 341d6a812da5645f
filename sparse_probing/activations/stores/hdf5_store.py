"""The HDF5 encoding: one file per hook point, layer and part, and one file that shows them as whole layers.

``activations.h5`` holds the virtual data sets ``<hook_point>/layer_03``, ``(n_rows, width)``, which
any reader of HDF5 1.10 or later opens. Rows of unfinished parts are NaN there.
"""

from __future__ import annotations

import h5py
import numpy as np

from sparse_probing.activations.stores.activation_store import ActivationStore
from sparse_probing.activations.stores.format.blocks import BlockLayout
from sparse_probing.activations.stores.format.hdf5_parts import VALUES, encode_hdf5, hdf5_layout, memory_file
from sparse_probing.activations.stores.format.stored_arrays import FILL_VALUES, StoredArray, stored_arrays
from sparse_probing.activations.stores.plan import StorePlan

METADATA = "activations.h5"


class HDF5Store(ActivationStore):
    """Activations as uncompressed HDF5 files with checksums, joined by virtual data sets."""

    kind = "hdf5"

    @staticmethod
    def _metadata(plan: StorePlan) -> dict[str, bytes]:
        with memory_file() as file:
            for array in stored_arrays(plan):
                _add_virtual_dataset(file, array)
            file.flush()
            return {METADATA: file.id.get_file_image()}

    @staticmethod
    def _file_name(array: StoredArray, part: int) -> str:
        return f"{array.name}/{part:06d}.h5"

    @staticmethod
    def _layout(array: StoredArray) -> BlockLayout:
        return hdf5_layout(array.part_rows, array.width, array.dtype)

    @staticmethod
    def _encode(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
        return encode_hdf5(layout, values)


def _add_virtual_dataset(file: h5py.File, array: StoredArray) -> None:
    shape = (array.n_rows, array.width)
    layout = h5py.VirtualLayout(shape, array.dtype)
    layout.dcpl.set_obj_track_times(False)
    for part, start in enumerate(range(0, array.n_rows, array.part_rows)):
        n_rows = min(array.part_rows, array.n_rows - start)
        source = h5py.VirtualSource(
            HDF5Store._file_name(array, part), VALUES, (array.part_rows, array.width), array.dtype
        )
        layout[start : start + n_rows] = source[:n_rows]
    dataset = file.create_virtual_dataset(array.name, layout, FILL_VALUES[array.dtype.name])
    dataset.attrs.update(array.attributes)
