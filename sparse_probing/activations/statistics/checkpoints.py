"""Checkpoints: what a process has counted so far, in one file that is always whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from probing_datasets.foundation.atomic_files import atomic_file
from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics


@dataclass
class Share:
    """The statistics that one process has counted at one hook point, over the first of its blocks of sequences."""

    n_counted: int
    """Number of blocks of the process that are counted, from its first."""
    layers: dict[int, LayerStatistics]

    def merge(self, other: Share) -> None:
        """Add the share of another process."""
        self.n_counted += other.n_counted
        for layer, statistics in self.layers.items():
            statistics.merge(other.layers[layer])

    def save(self, path: Path, digest: str) -> None:
        """Write the share atomically, with the digest of the plan that it belongs to."""
        named = {f"{layer}/{n}": t for layer, s in self.layers.items() for n, t in s.tensors().items()}
        with atomic_file(path) as temporary:
            save_file(named, temporary, {"plan": digest, "n_counted": str(self.n_counted)})

    @classmethod
    def load(cls, path: Path, digest: str) -> Share:
        """Read a share.

        Raises
        ------
        FileNotFoundError
            When there is no checkpoint.
        StoreError
            When the file is damaged or belongs to another plan.
        """
        by_layer: dict[int, dict] = {}
        n_counted = counted_blocks(path, digest)
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (the file is not a dictionary)
                layer, field = name.split("/")
                by_layer.setdefault(int(layer), {})[field] = file.get_tensor(name)
        layers = {layer: LayerStatistics.from_tensors(by_layer[layer]) for layer in sorted(by_layer)}
        return cls(n_counted, layers)


def counted_blocks(path: Path, digest: str) -> int:
    """Return the number of blocks that are counted in a checkpoint; errors as `Share.load`."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise StoreError(
            f"The checkpoint {path} is damaged ({error}). Delete it; its share is then counted again."
        ) from error
    if metadata.get("plan") != digest:
        raise StoreError(f"The checkpoint {path} belongs to another plan. Delete it, or start again with --overwrite.")
    return int(metadata["n_counted"])
