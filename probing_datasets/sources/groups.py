"""What makes the group of a text: rows of one group are never in both training and test rows.

A collection takes the group from a column of its source (``--group_column``: a document, a person). Without such a
value the functions below decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xxhash


def group_of_row(value: Any, own_group: str) -> str:
    """Return the group that a row of a table names; a row that names none is its own group."""
    name = "" if value is None else str(value)
    return name if name.strip() else own_group


def groups_of_rows(source: str = "") -> Iterator[str]:
    """Yield a group for each row of a table: its number, after the name of its source if there are several."""
    return (f"{source}: row {number}" if source else f"row {number}" for number in count())


def group_of_text(text: str) -> str:
    """Return the group of a text for sources without groups: texts that are the same are one group."""
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).hexdigest()


def group_of_file(path: Path, root: Path) -> str:
    """Return the group of a source file: the first folder below ``root``, which is its package or project."""
    return path.relative_to(root).parts[0]


def first_copies(tokens: Sequence[np.ndarray]) -> np.ndarray:
    """Return (n,) int64: for each sequence the number of the first one with the same tokens."""
    first: dict[bytes, int] = {}
    digests = (xxhash.xxh3_128_digest(sequence.tobytes()) for sequence in tokens)
    return np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)], dtype=np.int64)


def join_groups_of_copies(tokens: Sequence[np.ndarray], groups: Sequence[str]) -> tuple[list[str], int]:
    """Join groups that share a sequence, so that no split has the same tokens in training and test rows.

    Texts that differ only in what the tokenizer drops, or in a beginning that does not fit the context, have equal
    tokens.

    Parameters
    ----------
    tokens : sequence of (length,) arrays of int
    groups : sequence of str
        The group of each sequence.

    Returns
    -------
    groups : list of str
        Joined groups have the name of the first of them.
    n_copies : int
        Sequences with the same tokens as an earlier one that was in another group.
    """
    parent = {group: group for group in groups}

    def first_of(group: str) -> str:
        while parent[group] != group:
            parent[group] = group = parent[parent[group]]
        return group

    rank = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    n_copies = 0
    for group, number in zip(groups, first_copies(tokens).tolist(), strict=True):
        original = groups[int(number)]
        if original != group:
            n_copies += 1
            earlier, later = sorted((first_of(original), first_of(group)), key=rank.__getitem__)
            parent[later] = earlier
    return [first_of(group) for group in groups], n_copies
