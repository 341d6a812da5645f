"""Which groups go to which part, so that every part has every class: an exact search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from probing_datasets.foundation.errors import SplitError
from sparse_probing.probes.inputs.validation import Booleans, Integers

MOST_STEPS = 50_000
"""Assignments that the search tries before it gives up: seconds. Real data need one per class and part."""


def covering_parts(members: Booleans, n_parts: int, rng: np.random.Generator) -> Integers | None:
    """Assign groups to parts so that every part has a group of every class, whenever that is possible.

    Depth-first search with backtracking. A step takes the class with the fewest groups to spare, a part
    without it, and tries the kinds of group that would bring it there: those with the most other classes
    that the part needs first. Groups with the same classes are interchangeable and are one kind; states from
    which no solution was found are not searched again.

    Parameters
    ----------
    members : (n_groups, n_classes) array of bool
        Which classes a group has rows of.
    n_parts : int
        Sides of a split (2) or folds.
    rng : numpy.random.Generator
        Decides which group of a kind is used, and the order of equally useful kinds.

    Returns
    -------
    (n_groups,) int64, or None
        The part of each group that a class needs, -1 for a group that is free to go to any part; None if no such
        assignment exists.

    Raises
    ------
    SplitError
        If the search ends after ``MOST_STEPS`` without an answer.

    Notes
    -----
    With two parts this is the 2-colouring of a hypergraph, which is NP-complete for many classes. With two
    classes, enough groups of each are also sufficient, and the search never goes back.
    """
    shuffled = rng.permutation(len(members))
    kinds, kind_of_group, remaining = np.unique(members[shuffled], axis=0, return_inverse=True, return_counts=True)
    n_kinds, n_classes = kinds.shape
    has = kinds.astype(np.float32)  # for fast products
    kind_of_group = kind_of_group.reshape(-1)
    preference = rng.permutation(n_kinds)
    missing = np.ones((n_classes, n_parts), dtype=np.bool_)
    dead_ends: set[bytes] = set()

    def state() -> bytes:
        """Describe what is missing and what is left for it; parts that miss the same are interchangeable."""
        useful = has @ missing.any(axis=1).astype(np.float32)
        return np.where(useful > 0, remaining, 0).tobytes() + b"".join(sorted(column.tobytes() for column in missing.T))

    trail: list[tuple[int, int, Booleans]] = []
    to_try = [_assignments_to_try(missing, remaining, kinds, preference)]
    steps = 0
    while to_try[-1] is not None:
        step = next(to_try[-1], None)
        if step is None:
            dead_ends.add(state())
            to_try.pop()
            if not to_try:
                return None
        else:
            kind, part = step
            steps += 1
            if steps > MOST_STEPS:
                raise SplitError(
                    f"No division of {len(members)} groups into {n_parts} parts with all {n_classes} classes was found "
                    f"in {MOST_STEPS:,} steps, and none was excluded. Use more data or fewer classes."
                )
            trail.append((kind, part, missing[:, part].copy()))
            missing[kinds[kind], part] = False
            remaining[kind] -= 1
            if state() not in dead_ends:
                to_try.append(_assignments_to_try(missing, remaining, kinds, preference))
                continue
        kind, part, before = trail.pop()
        missing[:, part] = before
        remaining[kind] += 1
    # Give the groups of every kind, in random order, to the parts that use one.
    assigned = np.full(len(members), -1, dtype=np.int64)
    for kind in range(n_kinds):
        parts = [part for used, part, _ in trail if used == kind]
        assigned[shuffled[np.flatnonzero(kind_of_group == kind)[: len(parts)]]] = parts
    return assigned


def _assignments_to_try(
    missing: Booleans, remaining: Integers, kinds: Booleans, preference: Integers
) -> Iterator[tuple[int, int]] | None:
    """Return assignments (kind, part), one of which every solution from here has; None where no part misses a class.

    Without an assignment to try there is no solution.
    """
    parts_missing = missing.sum(axis=1)
    if not parts_missing.any():
        return None
    spare = np.where(parts_missing > 0, remaining @ kinds.astype(np.float32) - parts_missing, np.inf)
    # Of equally scarce classes, first those with the fewest parts to reach: they leave the fewest choices.
    scarcest = int(np.lexsort((parts_missing, spare))[0])
    if spare[scarcest] < 0:
        return iter(())
    part = int(np.where(missing[scarcest], missing.sum(axis=0), -1).argmax())
    usable = np.flatnonzero((remaining > 0) & kinds[:, scarcest])
    gain = (kinds[usable] & missing[:, part]).sum(axis=1)
    return iter([(int(kind), part) for kind in usable[np.lexsort((preference[usable], -gain))]])
