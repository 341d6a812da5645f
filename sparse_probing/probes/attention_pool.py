"""Attention pooling: the mean of the tokens of a text, weighted by a softmax of a linear function of each token.

References
----------
McKenzie et al., Detecting High-Stakes Interactions with Activation Probes (2025), arXiv:2506.10805.
"""

from __future__ import annotations

from torch import Tensor, inf

FIRST_VALUES = 0.01
"""Deviation of the first values of several heads, which are random: heads that are equal would stay so."""


def attention_pool(tokens: Tensor, mask: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of tokens (n, length, heads), and the pooled tokens (n, heads, d) of each head.

    A query of zeros gives the mean of the tokens. A function that is linear in tokens has the same weighted mean as its
    value of the pooled tokens, so that values are multiplied with these.

    Parameters
    ----------
    tokens : (n, length, d) Tensor
        Finite where there is no token too.
    mask : (n, length) Tensor of bool
        Where there is a token: one or more for each text.
    queries : (heads, d) Tensor
    """
    weights = (tokens @ queries.T).masked_fill(~mask[..., None], -inf).softmax(1)
    return weights, weights.transpose(1, 2) @ tokens
