"""The share of the work that one of several processes does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.sections import at_least_one

Item = TypeVar("Item")


@dataclass(frozen=True)
class ShareConfig:
    """Which share of the work this process does; by default the share of its entry of a Slurm array."""

    rank: int = field(default_factory=lambda: read_settings().array_rank)
    """Number of this process, from 0. Default: from SLURM_ARRAY_TASK_ID."""
    world_size: int = field(default_factory=lambda: read_settings().array_size)
    """Processes that share the work. Default: from SLURM_ARRAY_TASK_COUNT, otherwise 1."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "world_size")
        if not 0 <= self.rank < self.world_size:
            raise SettingsError(
                f"--rank must be from 0 to {self.world_size - 1}, not {self.rank}. "
                "A Slurm array with gaps, such as --array=1,5,7, needs --rank and --world_size."
            )

    def of(self, work: Sequence[Item]) -> Sequence[Item]:
        """Return the items of this process: every ``world_size``-th, so that shares never overlap.

        Examples
        --------
        >>> ShareConfig(rank=1, world_size=3).of(range(8))
        range(1, 8, 3)
        """
        return work[self.rank :: self.world_size]
