"""Where activations are kept: one class per encoding, all with the interface of ``ActivationStore``."""

from experiments.activations.stores.store import ActivationStore
from experiments.activations.stores.zarr_store import ZarrStore

STORES: dict[str, type[ActivationStore]] = {"zarr": ZarrStore}
"""Encodings by the name that ``--store`` takes."""

__all__ = ["STORES", "ActivationStore", "ZarrStore"]
