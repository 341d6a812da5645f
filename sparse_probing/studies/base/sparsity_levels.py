"""For how many neurons probes are fitted."""

from __future__ import annotations

from sparse_probing.config import ProbingConfig

SMALL = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)
FIRST_DOUBLED = 16


def sparsity_levels(config: ProbingConfig, width: int) -> list[int]:
    """Return the values of k: those asked for, or those of Gurnee et al. (2023), up to ``max_k`` and the width.

    Examples
    --------
    >>> sparsity_levels(ProbingConfig.from_flags(max_k=50), 512)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32]
    """
    largest = min(config.search.max_k, width)
    if config.search.ks:
        return sorted({min(k, width) for k in config.search.ks})
    doubled = [FIRST_DOUBLED << i for i in range(width.bit_length())]
    return sorted({k for k in (*SMALL, *doubled, width) if k <= largest})
