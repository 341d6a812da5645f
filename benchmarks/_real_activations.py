"""Real activations: stores that are given, or those of the demo model on the bundled texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.stores import open_store
from sparse_probing.config import HarvestConfig


@dataclass(frozen=True)
class RealLayers:
    """The layers of a store, and the document of every row."""

    name: str
    layers: list[np.ndarray]
    """(n, width) each."""
    documents: np.ndarray
    """(n,) increasing codes from 0."""

    def thinned(self, rows_per_document: int) -> RealLayers:
        """Return the layers with at most so many rows of a document, evenly spaced."""
        rows_of = np.split(np.arange(len(self.documents)), np.flatnonzero(np.diff(self.documents)) + 1)
        thinned = [rows[:: -(-len(rows) // rows_per_document)] for rows in rows_of]
        rows = np.concatenate(thinned)
        return RealLayers(self.name, [layer[rows] for layer in self.layers], self.documents[rows])


def real_layers(stores: Sequence[Path]) -> list[RealLayers]:
    """Read these stores; without any, harvest the demo model's mean and token activations into a temporary folder."""
    if stores:
        return [_read(store) for store in stores]
    with TemporaryDirectory() as folder:
        return [_read(_demo_store(Path(folder), aggregation)) for aggregation in ("mean", "none")]


def _demo_store(folder: Path, aggregation: str) -> Path:
    datasets = folder / "feature_datasets"
    name = make_dataset(MakeConfig("natural_lang_id", output_dir=datasets, overwrite=True)).name
    config = HarvestConfig.from_flags(
        model="demo",
        feature_dataset=name,
        feature_dataset_dir=datasets,
        results_dir=folder / "results",
        activation_aggregation=aggregation,
    )
    harvest(config)
    return Path(str(config.store_folder()))


def _read(path: Path) -> RealLayers:
    store = open_store(path)
    plan = store.plan
    layers = [store.read(layer, dtype=None, order="F").astype(np.float32) for layer in plan.layers]
    # Every sequence of these texts is its own document.
    documents = np.unique(store.rows[0], return_inverse=True)[1]
    model = str(plan.fingerprint["model"]).rstrip("/").rsplit("/", 1)[-1]
    return RealLayers(f"{model}, {plan.fingerprint['activation_aggregation']}", layers, documents)
