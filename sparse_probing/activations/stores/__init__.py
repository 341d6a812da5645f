"""Activation stores: one class per encoding, all with the interface of ``ActivationStore``."""

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.activation_store import ActivationStore
from sparse_probing.activations.stores.hdf5_store import HDF5Store
from sparse_probing.activations.stores.manifest.plan_file import Header
from sparse_probing.activations.stores.storage.locations import StorePath, parse_place
from sparse_probing.activations.stores.zarr_store import ZarrStore

STORES: dict[str, type[ActivationStore]] = {"zarr": ZarrStore, "hdf5": HDF5Store}
"""Encodings by the name that ``--store`` takes."""


def open_store(path: StorePath | str) -> ActivationStore:
    """Open a store, finished or not, by its folder or URL, with the class of its encoding.

    Raises
    ------
    StoreError
        When there is no store at ``path``, or its encoding is unknown.
    CorruptStoreError
        When the plan or the row index was edited or damaged.
    """
    path = parse_place(path) if isinstance(path, str) else path
    kind = Header.read(path).kind
    if kind not in STORES:
        raise StoreError(
            f"{path} is a {kind} store, but this code knows {', '.join(STORES)}. Use the release that wrote it."
        )
    return STORES[kind].open(path)


__all__ = ["STORES", "ActivationStore", "HDF5Store", "ZarrStore", "open_store"]
