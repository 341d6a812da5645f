"""What a streaming learner has learned at each place, saved from time to time, and added up over processes."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.statistics.checked_tensors import load_tensors, save_tensors
from sparse_probing.online import checkpoints
from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.moments import Moments
from sparse_probing.online.learners.padded_attention import PaddedAttention
from sparse_probing.online.places import Place
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.online.streaming.early_stopping import EarlyStopping

logger = logging.getLogger(__name__)


@dataclass
class Learning:
    """One place while it learns."""

    learner: Moments | AdamW | PaddedAttention
    stoppers: list[EarlyStopping] = field(default_factory=list)
    """One for each label set, controls left out; empty without early stopping."""
    validation: torch.Tensor | None = None
    """(v, d) float32 rows of the validation texts, on the host; with attention pooling (v, length, d), padded with
    NaN."""

    def kept(self) -> torch.Tensor:
        """Return the rows of the validation texts."""
        assert self.validation is not None  # noqa: S101 (they are read first)
        return self.validation

    @property
    def stopped(self) -> bool:
        """Whether all of its probes have stopped."""
        return bool(self.stoppers) and all(stopper.stopped for stopper in self.stoppers)


class StreamState:
    """What each process has learned so far, in one file that is replaced from time to time.

    Parameters
    ----------
    prepared : PreparedOnline
    learning : dict
        The places, which it writes and restores.
    """

    def __init__(self, prepared: PreparedOnline, learning: dict[Place, Learning]) -> None:
        self._prepared, self._learning = prepared, learning
        self._last_time = time.monotonic()

    def restore(self) -> int | None:
        """Restore all places; return the batches that they have learned from, None without a saved state."""
        share = self._prepared.config.share
        saved = self._load(share.rank)
        if saved is None:
            return None
        tensors, texts = saved
        stoppers = json.loads(texts["stoppers"])
        for number, each in enumerate(self._learning.values()):
            own = _of_place(tensors, number)
            each.validation = own.pop("validation", None)
            each.learner.load({name: tensor.numpy() for name, tensor in own.items()})
            each.stoppers = [EarlyStopping(**state) for state in stoppers[number]]
        return int(texts["n_batches"])

    def restore_sum(self, n_batches: list[int]) -> bool:
        """Put the sums of all processes into the places; False where one has not learned from all of its batches.

        Parameters
        ----------
        n_batches : list of int
            Batches of each process.
        """
        share = self._prepared.config.share
        for rank in range(share.world_size):
            saved = self._load(rank)
            if saved is None or int(saved[1]["n_batches"]) < n_batches[rank]:
                return False
            for number, each in enumerate(self._learning.values()):
                state = {name: tensor.numpy() for name, tensor in _of_place(saved[0], number).items()}
                learner = each.learner
                if not isinstance(learner, Moments):
                    raise TypeError("Only sums can be added.")
                if rank == 0:
                    learner.load(state)
                else:
                    other = Moments(learner.width, learner.label_sets, learner.settings, learner.device)
                    other.load(state)
                    learner.merge(other)
        return True

    def finished(self, n_batches: int) -> None:
        """Save from time to time."""
        if time.monotonic() - self._last_time >= checkpoints.SECONDS:
            self.save(n_batches)

    def save(self, n_batches: int) -> None:
        """Write the state of all places."""
        tensors = {}
        for number, each in enumerate(self._learning.values()):
            tensors |= {f"{number}/{name}": torch.from_numpy(np.array(a)) for name, a in each.learner.state().items()}
            if each.validation is not None:
                tensors[f"{number}/validation"] = each.validation
        stoppers = [[stopper.state() for stopper in each.stoppers] for each in self._learning.values()]
        texts = {"n_batches": str(n_batches), "stoppers": json.dumps(stoppers)}
        path = self._path(self._prepared.config.share.rank)
        save_tensors(path, self._owner(path), tensors, texts)
        self._last_time = time.monotonic()

    def _load(self, rank: int) -> tuple[dict[str, torch.Tensor], dict[str, str]] | None:
        path = self._path(rank)
        try:
            return load_tensors(path, self._owner(path))
        except FileNotFoundError:
            return None
        except (CorruptStoreError, StoreError) as error:
            logger.warning("%s It is removed, and training begins again.", str(error).partition(" Delete it")[0])
            path.unlink(missing_ok=True)
            return None

    def _path(self, rank: int) -> Path:
        name = f"stream-{rank}-of-{self._prepared.config.share.world_size}.safetensors"
        return self._prepared.folder / checkpoints.FOLDER / name

    def _owner(self, path: Path) -> str:
        return digest_json([self._prepared.plan, path.name])


def _of_place(tensors: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """Return the tensors of one place by their names there."""
    return {name.partition("/")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{number}/")}
