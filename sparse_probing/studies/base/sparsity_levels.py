"""The numbers of neurons for which a sweep fits probes."""

from __future__ import annotations

from sparse_probing.config import SearchConfig

SMALL = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)
FIRST_DOUBLED = 16


def sparsity_levels(search: SearchConfig, width: int) -> list[int]:
    """Return the values of k: those of ``ks``, or those of Gurnee et al. (2023) up to ``max_k`` and the width.

    Examples
    --------
    >>> sparsity_levels(SearchConfig(max_k=50), 512)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32]
    """
    if search.ks:
        return sorted({min(k, width) for k in search.ks})
    largest = min(search.max_k, width)
    doubled = [FIRST_DOUBLED << i for i in range(width.bit_length())]
    return sorted({k for k in (*SMALL, *doubled, width) if k <= largest})
