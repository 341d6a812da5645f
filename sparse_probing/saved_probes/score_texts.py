"""The scores that one saved probe gives to a list of texts, or to their tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.models import LanguageModel
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.right_model import model_of
from sparse_probing.saved_probes.text_scorer import Floats, ScoredText, TextScorer, aggregation_of

logger = logging.getLogger(__name__)


def score_texts(
    probe: ProbeData,
    texts: Sequence[str],
    model: LanguageModel | None = None,
    batch_size: int = 32,
    allow_other_weights: bool = False,
) -> Floats:
    """Return the score (n,) of each text, (n, outputs) where the probe is multiclass, by aggregated activations."""
    if aggregation_of(probe) == "none":
        raise ProbeError(f"The probe of {probe.feature!r} was trained on tokens. Score them with per_token=True.")
    scored = _scored(probe, texts, model, batch_size, allow_other_weights, per_token=False)
    scores = np.stack([each.scores for each in scored]) if scored else np.empty((0, len(probe.intercept)))
    return scores if probe.kind == "multiclass" else scores[:, 0]


def score_tokens(
    probe: ProbeData,
    texts: Sequence[str],
    model: LanguageModel | None = None,
    batch_size: int = 32,
    allow_other_weights: bool = False,
) -> list[list[tuple[str, Any]]]:
    """Return for each text the pairs of a token's text and its score, special tokens around it excluded."""
    pairs: list[list[tuple[str, Any]]] = []
    for each in _scored(probe, texts, model, batch_size, allow_other_weights, per_token=True):
        scores = each.token_scores if probe.kind == "multiclass" else each.token_scores[:, 0]
        spans = each.prompt.spans if each.prompt.spans is not None else np.empty((0, 2), np.int32)
        tokens = [each.prompt.text[start:stop] for start, stop in spans.tolist()]
        pairs.append(list(zip(tokens, scores if probe.kind == "multiclass" else scores.tolist(), strict=True)))
    return pairs


def _scored(
    probe: ProbeData,
    texts: Sequence[str],
    model: LanguageModel | None,
    batch_size: int,
    allow_other_weights: bool,
    per_token: bool,
) -> list[ScoredText]:
    """Return the scores of a list of texts, each of which must have tokens."""
    if isinstance(texts, str):
        raise ProbeError("Pass a list of texts, not a single string.")
    loaded = model_of([probe], model, allow_other_weights)
    scored = TextScorer(loaded, [probe], batch_size, per_token).score(list(texts))
    for number, each in enumerate(scored):
        if not len(each.prompt.ids):
            raise ProbeError(f"Text {number} has no score: {each.prompt.note}. Remove it, or shorten it.")
    if cut := [each.prompt for each in scored if len(each.prompt.ids) < each.prompt.n_tokens]:
        n_kept, lost = len(cut[0].ids), "beginning" if probe.kept == "end" else "end"
        logger.warning(
            "%d of %d texts are longer than %d tokens; their %s is not scored.", len(cut), len(scored), n_kept, lost
        )
    return scored
