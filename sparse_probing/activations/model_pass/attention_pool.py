"""Poolings of the tokens of a text that are trained with a probe: attention and MultiMax.

Attention is the mean of the tokens, weighted by a softmax of a linear function of each token; MultiMax is the maximum
of a linear function over the tokens.

References
----------
McKenzie et al., Detecting High-Stakes Interactions with Activation Probes (2025), arXiv:2506.10805: attention.
Kramár et al., Building Production-Ready Probes for Gemini (2026), arXiv:2601.11516: several heads, and MultiMax.
"""

from __future__ import annotations

from torch import Tensor, einsum, inf

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


def pooled_scores(tokens: Tensor, mask: Tensor, values: Tensor, queries: Tensor | None) -> Tensor:
    """Return the scores (n, outputs) of texts: the sum over heads of the value of the pooled tokens, no intercept.

    Parameters
    ----------
    tokens : (n, length, d) Tensor
        Finite where there is no token too.
    mask : (n, length) Tensor of bool
        Where there is a token: one or more for each text.
    values : (heads, outputs, d) Tensor
    queries : (heads, d) Tensor, optional
        Of attention; None: the maximum over the tokens of each head and output.
    """
    if queries is None:
        of_tokens = einsum("ntd,hkd->nthk", tokens, values)
        return of_tokens.masked_fill(~mask[..., None, None], -inf).amax(1).sum(1)
    return einsum("nhd,hkd->nk", attention_pool(tokens, mask, queries)[1], values)
