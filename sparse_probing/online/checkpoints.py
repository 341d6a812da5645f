"""What a process has computed so far, saved in parts, so that a kill loses at most some minutes.

A part of the pass holds the rows of whole blocks of texts, with a checksum of everything in it and the digest of the
plan that it belongs to. Which process made it does not matter: any number of processes may resume what others began.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.foundation.errors import CorruptStoreError, DamagedFileError, StoreError
from probing_datasets.foundation.files.atomic_files import atomic_file
from probing_datasets.foundation.files.regular_files import read_regular_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import checksum, digest_json
from sparse_probing.activations.statistics.checked_tensors import load_tensors, save_tensors
from sparse_probing.activations.tables.recorded_files import writing_errors
from sparse_probing.online.learners.rows import KeptRows
from sparse_probing.online.places import Place
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.runs.locks import locked
from sparse_probing.runs.tasks.published_results import MAX_ROWS_BYTES
from sparse_probing.studies.base.result_rows import table_of_file, write_rows

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
SECONDS = 60.0
"""Between two parts. A run that takes less writes none."""


@contextmanager
def one_process(folder: Path) -> Iterator[None]:
    """Wait until no other process is within this block, for the run in a folder."""
    with locked(folder / FOLDER / "lock"):
        yield


class RowCheckpoints:
    """The parts of a run.

    Parameters
    ----------
    prepared : PreparedOnline
    blocks : list of (n,) int64
        Sequences of every block.
    """

    def __init__(self, prepared: PreparedOnline, blocks: list[NDArray]) -> None:
        self._folder = prepared.folder / FOLDER
        self._prepared, self._blocks = prepared, blocks
        self._digest = digest_json(prepared.plan)
        self._unsaved: list[int] = []
        self._last_time = time.monotonic()

    def saved_blocks(self, places: Sequence[Place]) -> set[int]:
        """Return the blocks whose rows at these places are in intact parts; damaged ones are removed."""
        return {block for blocks, _ in self._parts(places) for block in blocks}

    def restore(self, kept: KeptRows) -> set[int]:
        """Put the rows of all intact parts into memory; return their blocks."""
        restored: set[int] = set()
        for blocks, tensors in self._parts(kept.places):
            for place in kept.places:
                kept.restore(place, self._numbers(place, blocks), tensors[self._key(place)].numpy())
            restored |= set(blocks)
        return restored

    def finished(self, block: int, kept: KeptRows) -> None:
        """Note that all rows of a block are in memory; save those of several blocks together, from time to time."""
        self._unsaved.append(block)
        if time.monotonic() - self._last_time >= SECONDS:
            self.save(kept)

    def save(self, kept: KeptRows) -> None:
        """Write the rows that are not saved yet.

        Raises
        ------
        StoreError
            When they cannot be written.
        """
        if self._unsaved:
            path = self._folder / f"blocks-{self._unsaved[0]:06d}-{uuid.uuid4().hex[:8]}.safetensors"
            tensors = {
                self._key(place): torch.from_numpy(kept.part(place, self._numbers(place, self._unsaved)))
                for place in kept.places
            }
            save_tensors(path, self._owner(path), tensors, {"blocks": " ".join(map(str, self._unsaved))})
        self._unsaved, self._last_time = [], time.monotonic()

    def _parts(self, places: Sequence[Place]) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield intact parts with the rows of these places; after an interruption some parts have those of fewer."""
        for path in sorted(self._folder.glob("blocks-*.safetensors")):
            try:
                tensors, texts = load_tensors(path, self._owner(path))
                blocks = [int(number) for number in texts["blocks"].split()]
            except (CorruptStoreError, StoreError) as error:
                logger.warning("%s It is removed, and its texts are run again.", str(error).partition(" Delete it")[0])
                path.unlink(missing_ok=True)
                continue
            if all(self._key(place) in tensors for place in places):
                yield blocks, tensors

    def _numbers(self, place: Place, blocks: Iterable[int]) -> NDArray:
        """Return the numbers of the rows of a place in blocks, in their order."""
        sequence = self._prepared.rows[place.pooling].sequence
        ends = [np.searchsorted(sequence, self._blocks[block][[0, -1]] + [0, 1]) for block in blocks]
        return np.concatenate([np.arange(start, stop) for start, stop in ends])

    def _key(self, place: Place) -> str:
        return str(self._prepared.places.index(place))

    def _owner(self, path: Path) -> str:
        return digest_json([self._digest, path.name])


@dataclass(frozen=True)
class FitSeal:
    """The file beside the result rows of some places, written after them."""

    owner: str
    n_places: int
    """Places that are finished with these."""
    checksum: str
    failures: dict[str, str]


class FitCheckpoints:
    """The result rows of the first places of a run, saved from time to time.

    Parameters
    ----------
    prepared : PreparedOnline
    """

    def __init__(self, prepared: PreparedOnline) -> None:
        self._folder, self._digest = prepared.folder / FOLDER, digest_json(prepared.plan)
        self.rows: list[dict[str, Any]] = []
        """Result rows of the places that are finished, in their order."""
        self.failures: dict[str, str] = {}
        """Why label sets have no probe at these places."""
        self.n_places = 0
        """Places that are finished."""
        while self._restore():
            pass
        self._n_saved, self._n_saved_rows = self.n_places, len(self.rows)
        self._last_time = time.monotonic()

    def add(self, rows: list[dict[str, Any]], failures: dict[str, str]) -> None:
        """Add the next place; from time to time, save what is not saved yet."""
        self.rows += rows
        self.failures |= failures
        self.n_places += 1
        if time.monotonic() - self._last_time >= SECONDS:
            path = self._folder / f"fits-{self._n_saved:05d}.parquet"
            with writing_errors(self._folder, path), atomic_file(path) as temporary:
                write_rows(self.rows[self._n_saved_rows :], temporary)
                content = checksum([temporary.read_bytes()])
            seal = FitSeal(self._owner(path), self.n_places, content, self.failures)
            write_sealed(path.with_suffix(".json"), seal)
            self._n_saved, self._n_saved_rows, self._last_time = self.n_places, len(self.rows), time.monotonic()

    def _restore(self) -> bool:
        """Read the next saved part, if there is one."""
        path = self._folder / f"fits-{self.n_places:05d}.parquet"
        try:
            content = read_regular_file(path, MAX_ROWS_BYTES)
            seal = read_sealed(path.with_suffix(".json"), FitSeal)
        except FileNotFoundError:  # an interruption between both files leaves only the first
            return False
        except (ValueError, DamagedFileError) as error:
            logger.warning("%s", error)
            return False
        if (seal.owner, seal.checksum) != (self._owner(path), checksum([content])) or seal.n_places <= self.n_places:
            logger.warning("%s is damaged: its probes are fitted again.", path)
            return False
        self.rows += table_of_file(path, content).to_pylist()
        self.failures, self.n_places = seal.failures, seal.n_places
        return True

    def _owner(self, path: Path) -> str:
        return digest_json([self._digest, path.name])
