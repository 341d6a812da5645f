"""Opening damaged parts again, so that whoever makes the store writes them anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.stores.activation_store import ActivationStore
from sparse_probing.activations.stores.manifest.verification import Damage

logger = logging.getLogger(__name__)

VERIFICATION_STEPS = 100
"""Each step checks the metadata of the store once more."""


def reopen_damaged_parts(store: ActivationStore, parts: Sequence[int], checksums: bool) -> None:
    """Discard those of the finished ones among ``parts`` that lack a file or have one of another size.

    Parameters
    ----------
    store : ActivationStore
    parts : Sequence[int]
        The parts to look at.
    checksums : bool
        Also read every file, and discard parts that have one with another checksum.

    Raises
    ------
    CorruptStoreError
        When a damaged file belongs to no part.
    """
    for damage in _damages(store, parts, checksums):
        if damage.part is None:
            raise CorruptStoreError(f"{damage.path}: {damage.reason}. Delete this file and run the same command again.")
        logger.warning("part %d is written again: %s: %s", damage.part, damage.path, damage.reason)
        store.discard_part(damage.part)


def reopen_damaged_copies(store: ActivationStore) -> None:
    """Discard all finished parts of a store, made of others, that are not as they were written."""
    still_open = set(store.open_parts())
    reopen_damaged_parts(store, [part for part in range(store.plan.n_parts) if part not in still_open], checksums=True)


def _damages(store: ActivationStore, parts: Sequence[int], checksums: bool) -> Iterator[Damage]:
    yield from store.damaged_sizes(parts)
    if checksums and parts:
        steps = np.array_split(parts, min(len(parts), VERIFICATION_STEPS))
        for some in tqdm(steps, desc="verify", unit=" steps", disable=None):
            yield from store.verify(some.tolist())
