"""Read the layers of a store: whole, some rows, some columns, or the rows of one feature."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.stores.format.encoding import Encoding
from sparse_probing.activations.stores.format.read_part import (
    READ_DTYPES,
    Order,
    dtype_to_read,
    parts_of,
    read_part,
)
from sparse_probing.activations.stores.format.stored_arrays import check_columns, check_rows, find_array
from sparse_probing.activations.stores.manifest.row_index import RowIndex
from sparse_probing.activations.stores.storage.locations import StorePath, is_local

if TYPE_CHECKING:
    import torch

ALL = slice(None)


class ReadableLayers(Encoding):
    """The reading half of a store."""

    path: StorePath
    rows: RowIndex

    @abstractmethod
    def _require_complete(self) -> None:
        """Raise StoreError unless every part is finished."""

    @abstractmethod
    def _check_recorded(self, part: int, names: Iterable[str]) -> None:
        """Raise CorruptStoreError unless files of a part have their recorded checksums."""

    def layer(self, layer: int, hook_point: str | None = None) -> np.ndarray:
        """Return all activations of a layer: ``(n_rows, width)`` float32; arguments and errors as :meth:`read`."""
        return self.read(layer, hook_point)

    def rows_of(
        self, dataset: FeatureDataset, feature: str, layer: int, hook_point: str | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what a probe of one feature is fitted on: activations, labels and groups.

        Parameters
        ----------
        dataset : FeatureDataset
            The data set that the store was made from.
        feature : str
            Name of a feature.
        layer : int
            Number of the layer in the model.
        hook_point : str, optional
            Needed only when the store holds several hook points.

        Returns
        -------
        X : (n, width) float32
            Activations at the labelled rows of the feature.
        y : (n,) float64
            Labels: -1 and +1 when binary, class numbers when multiclass, real numbers in regression.
        groups : (n,) int64
            Number of the group of each row: rows of a group must not be split between training and test.

        Raises
        ------
        DatasetError
            When there is no such feature; the message lists those that exist.
        StoreError
            When the store was made from another data set, is unfinished or damaged, or does not hold the
            layer or the hook point; the message lists those that it holds.
        """
        fingerprint = self.plan.fingerprint
        if fingerprint.get("dataset_hash") != dataset.description.content_hash:
            raise StoreError(
                f"The store at {self.path} was made from another data set ({fingerprint.get('dataset')}) than this "
                f"{dataset.name}, or from another version of it. Pass the data set that was harvested."
            )
        aggregation, next_token = fingerprint["activation_aggregation"], fingerprint.get("next_token", False)
        rows = feature_rows(dataset, feature, ProbedRows(*self.rows), aggregation, next_token)
        return self.read(layer, hook_point, rows.row), rows.label, rows.group

    def read(
        self,
        layer: int,
        hook_point: str | None = None,
        rows: slice | np.ndarray = ALL,
        columns: np.ndarray | None = None,
        dtype: DTypeLike | None = np.float32,
        order: Order = "C",
    ) -> np.ndarray:
        """Return activations of a layer, reading only the files and column blocks that are needed.

        Blocks that are read whole (all rows of a part) are compared with their checksums. On a disk, files that are
        read whole are compared with the record of their part too.

        Parameters
        ----------
        layer : int
            Number of the layer in the model.
        hook_point : str, optional
            Needed only when the store holds several hook points.
        rows : slice or np.ndarray
            A slice or increasing integers. Default all.
        columns : np.ndarray, optional
            The neurons to read, in this order. Default all.
        dtype : dtype, optional
            float16, float32 (holds every precision exactly) or float64. None: the stored dtype, or
            float32 for bfloat16 and precision 8.
        order : {"C", "F"}
            Memory order of the result; with ``F`` the values of each neuron are contiguous.

        Returns
        -------
        np.ndarray
            ``(rows, columns)``.

        Raises
        ------
        StoreError
            When the store is unfinished or damaged, or does not hold the layer, hook point, rows or columns; the
            message lists the layers and hook points that it holds.
        """
        return self._read(layer, hook_point, rows, columns, dtype_to_read(dtype, self.plan.precision), order)

    def read_torch(
        self,
        layer: int,
        hook_point: str | None = None,
        rows: slice | np.ndarray = ALL,
        columns: np.ndarray | None = None,
        order: Order = "C",
    ) -> torch.Tensor:
        """Return the same as :meth:`read`, as a tensor in the stored precision: float16, float32 or bfloat16.

        Precision 8 gives float32.
        """
        import torch  # here: it takes longer than most tasks of stage 2, which read arrays

        precision = self.plan.precision
        values = torch.from_numpy(self._read(layer, hook_point, rows, columns, READ_DTYPES[precision], order))
        return values.view(torch.bfloat16) if precision == "bf16" else values

    def _read(
        self,
        layer: int,
        hook_point: str | None,
        rows: slice | np.ndarray,
        columns: np.ndarray | None,
        dtype: np.dtype,
        order: Order,
    ) -> np.ndarray:
        self._require_complete()
        key = find_array(self.path, self.plan, layer, hook_point)
        width = self.plan.widths[key[0]]
        rows = check_rows(rows, self.plan.n_rows)
        columns = None if columns is None else check_columns(columns, width)
        out = np.empty((len(rows), width if columns is None else len(columns)), dtype, order)
        for part_rows in parts_of(self.plan, rows):
            layouts = dict(self._layer_files(key, part_rows.part))
            files = [(self.path / name, layout) for name, layout in layouts.items()]
            try:
                read_part(files, part_rows, columns, self.plan.block_rows, out[part_rows.outside])
                if columns is None and part_rows.is_whole and is_local(self.path):
                    # Blocks have their checksums also in the file of another layer or part, which its record does not.
                    self._check_recorded(part_rows.part, layouts)
            except CorruptStoreError as error:
                raise CorruptStoreError(f"Layer {key[1]}, part {part_rows.part}: {error}") from error
        return out
