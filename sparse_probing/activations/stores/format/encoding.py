"""The encoding of a store: names, layout and bytes of its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.format.blocks import BlockLayout
from sparse_probing.activations.stores.format.quantisation import quantise
from sparse_probing.activations.stores.format.stored_arrays import (
    Activations,
    ArrayKey,
    StoredArray,
    array_keys,
    arrays_of,
    stored_arrays,
)
from sparse_probing.activations.stores.plan import StorePlan

EncodedFile = tuple[str, memoryview]
"""Name of a file inside the store, and its bytes."""


class Encoding(ABC):
    """Files of a store: one for every part of every array, and files that describe the arrays."""

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
        """Return the offsets of blocks and checksums in the files of an array."""

    @staticmethod
    @abstractmethod
    def _encode(layout: BlockLayout, values: np.ndarray) -> np.ndarray:
        """Return the bytes of a file with ``(n, width)`` values, ``n <= layout.rows``."""

    def _part_files(self, part: int) -> dict[str, ArrayKey]:
        """Return the hook point and layer that each file of a part holds, by the name of the file."""
        arrays = stored_arrays(self.plan)
        return {self._file_name(array, part): (array.hook_point, array.layer) for array in arrays}

    def _layer_files(self, key: ArrayKey, part: int) -> list[tuple[str, BlockLayout]]:
        """Return name and layout of the files of one part of a layer: values, then scale and offset if quantised."""
        return [(self._file_name(array, part), self._layout(array)) for array in arrays_of(self.plan, key)]

    def _encode_part(self, part: int, activations: Activations) -> Iterator[EncodedFile]:
        """Yield all files of a part; while one is written, a thread encodes the next, so two are in memory."""

        def encode() -> Iterator[EncodedFile]:
            for hook_point, layer in array_keys(self.plan):
                components: tuple[np.ndarray, ...] = (activations[hook_point, layer],)
                if self.plan.is_quantised:
                    try:
                        components = quantise(components[0], self.plan.block_rows)
                    except StoreError as error:
                        raise StoreError(f"Part {part}, {hook_point}, layer {layer}: {error}") from error
                files = self._layer_files((hook_point, layer), part)
                for (name, layout), component in zip(files, components, strict=True):
                    yield name, self._encode(layout, component).data

        files = encode()
        with ThreadPoolExecutor(1) as encoder:
            next_file = encoder.submit(next, files, None)
            while (file := next_file.result()) is not None:
                next_file = encoder.submit(next, files, None)
                yield file
