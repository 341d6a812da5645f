"""Checkpoints: what a process has counted so far, in one file that is always whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparse_probing.activations.statistics.checked_tensors import OWNER, load_tensors, read_texts, save_tensors
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

    def save(self, path: Path, owner: str) -> None:
        """Write the share atomically, with the digest of what it belongs to."""
        named = {f"{layer}/{n}": t for layer, s in self.layers.items() for n, t in s.tensors().items()}
        save_tensors(path, owner, named, {"n_counted": str(self.n_counted)})

    @classmethod
    def load(cls, path: Path, owner: str) -> Share:
        """Read a share.

        Raises
        ------
        FileNotFoundError
            When there is no checkpoint.
        CorruptStoreError
            When the file has changed since it was written.
        StoreError
            When it belongs to another plan or process.
        """
        tensors, texts = load_tensors(path, owner)
        by_layer: dict[int, dict] = {}
        for name, tensor in tensors.items():
            layer, field = name.split("/")
            by_layer.setdefault(int(layer), {})[field] = tensor
        layers = {layer: LayerStatistics.from_tensors(by_layer[layer]) for layer in sorted(by_layer)}
        return cls(int(texts["n_counted"]), layers)


def counted_blocks(path: Path, owner: str) -> int:
    """Return the number of blocks that are counted in a checkpoint; errors as `Share.load`.

    The tensors are not read; `Share.load` compares them with their checksum before they are used.
    """
    texts = read_texts(path)
    if texts.get(OWNER) != owner or not texts.get("n_counted", "").isdecimal():
        return Share.load(path, owner).n_counted  # raises the error of a damaged file, or of another owner
    return int(texts["n_counted"])
