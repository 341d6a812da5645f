"""Discard damaged parts, so that the process that makes the store writes them again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from tqdm import tqdm

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.activation_store import ActivationStore
from sparse_probing.activations.stores.manifest.damage import Damage

logger = logging.getLogger(__name__)

VERIFICATION_STEPS = 100
"""Each step checks the metadata of the store once more."""


def reopen_damaged_parts(store: ActivationStore, parts: Sequence[int], checksums: bool) -> None:
    """Discard the finished parts among ``parts`` with a file that is missing or has another size.

    Parameters
    ----------
    store : ActivationStore
    parts : Sequence[int]
        The parts to look at.
    checksums : bool
        Also read every file, and discard parts with a file whose checksum differs.

    Raises
    ------
    CorruptStoreError
        When a damaged file belongs to no part.
    """
    damages: Iterator[Damage] = iter(store.damaged_sizes(parts))
    if checksums and parts:
        damages = chain(damages, _damaged_checksums(store, parts))
    for damage in damages:
        if damage.part is None:
            raise CorruptStoreError(f"{damage.path}: {damage.reason}. Delete this file and run the same command again.")
        logger.warning("part %d is written again: %s: %s", damage.part, damage.path, damage.reason)
        store.discard_part(damage.part)


def reopen_damaged_copies(store: ActivationStore) -> None:
    """Discard all damaged finished parts of a store that is copied from other stores."""
    open_parts = set(store.open_parts())
    reopen_damaged_parts(store, [part for part in range(store.plan.n_parts) if part not in open_parts], checksums=True)


def _damaged_checksums(store: ActivationStore, parts: Sequence[int]) -> Iterator[Damage]:
    steps = np.array_split(parts, min(len(parts), VERIFICATION_STEPS))
    for parts_of_step in tqdm(steps, desc="verify", unit=" steps", disable=None):
        yield from store.verify(parts_of_step.tolist())
