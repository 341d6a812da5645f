"""What an encoding of a store is: which files there are, how one is laid out, and its bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format.arrays import (
    Activations,
    ArrayKey,
    StoredArray,
    array_keys,
    arrays_of,
    stored_arrays,
)
from sparse_probing.activations.stores.format.blocks import BlockLayout
from sparse_probing.activations.stores.format.quantisation import quantise
from sparse_probing.activations.stores.plan import StorePlan

EncodedFile = tuple[str, memoryview]
"""Name of a file inside the store, and its bytes."""


class Encoding(ABC):
    """Files of a store: every part of every array is one, beside those that describe the arrays."""

    kind: ClassVar[str]
    plan: StorePlan

    @staticmethod
    @abstractmethod
    def _metadata(plan: StorePlan) -> dict[str, bytes]:
        """Return the files that describe the arrays, by name, those in deeper folders first."""

    @staticmethod
    @abstractmethod
    def _file_name(array: StoredArray, part: int) -> str:
        """Return the name of the file that holds one part of an array."""

    @staticmethod
    @abstractmethod
    def _layout(array: StoredArray) -> BlockLayout:
        """Return where everything lies in the files of an array."""

    @staticmethod
    @abstractmethod
    def _encode(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
        """Return the bytes of a file with ``(n, width)`` values, ``n <= layout.rows``."""

    def _part_files(self, part: int) -> dict[str, ArrayKey]:
        """Return the name of every file of a part with the hook point and layer that it holds."""
        arrays = stored_arrays(self.plan)
        return {self._file_name(array, part): (array.hook_point, array.layer) for array in arrays}

    def _layer_files(self, key: ArrayKey, part: int) -> list[tuple[str, BlockLayout]]:
        """Return name and layout of the files with one part of a layer: values, then scale and offset if there are."""
        return [(self._file_name(array, part), self._layout(array)) for array in arrays_of(self.plan, key)]

    def _encode_part(self, part: int, activations: Activations) -> Iterator[EncodedFile]:
        """Yield all files of a part; while one is written, a thread encodes the next, so two are in memory."""
        files = (file for key in array_keys(self.plan) for file in self._encode_layer(key, part, activations[key]))
        with ThreadPoolExecutor(1) as encoder:
            coming = encoder.submit(next, files, None)
            while (file := coming.result()) is not None:
                coming = encoder.submit(next, files, None)
                yield file

    def _encode_layer(self, key: ArrayKey, part: int, values: np.ndarray) -> Iterator[EncodedFile]:
        components = self._quantise(key, part, values) if self.plan.is_quantised else (values,)
        for (name, layout), component in zip(self._layer_files(key, part), components, strict=True):
            yield name, self._encode(layout, component).data

    def _quantise(self, key: ArrayKey, part: int, values: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            return quantise(values, self.plan.block_rows)
        except StoreError as error:
            raise StoreError(f"Part {part}, {key[0]}, layer {key[1]}: {error}") from error
