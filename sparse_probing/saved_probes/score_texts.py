"""The scores that a saved probe gives to texts and tokens: tokenization, the forward pass, pooling."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.building.tokenization import token_ids, token_spans
from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.models import LanguageModel, load_model
from sparse_probing.saved_probes.probe_data import ProbeData

logger = logging.getLogger(__name__)


def score_texts(
    probe: ProbeData, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
) -> NDArray[np.float64]:
    """Return the score (n,) of each text, (n, outputs) where the probe is multiclass, by aggregated activations."""
    if probe.aggregation == "none":
        raise ProbeError(f"The probe of {probe.feature!r} was trained on tokens. Score them with per_token=True.")
    model = _model_of(probe, model)
    ids = _text_ids(probe, model, texts)
    scores = np.empty((len(texts), len(probe.intercept)))
    for members, activations, is_text in _activations(probe, model, ids, batch_size):
        scores[members] = probe.scores_of(pool(activations, is_text, probe.aggregation).numpy())
    return scores if probe.kind == "multiclass" else scores[:, 0]


def score_tokens(
    probe: ProbeData, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
) -> list[list[tuple[str, Any]]]:
    """Return for each text the pairs of a token's text and its score, special tokens excluded."""
    model = _model_of(probe, model)
    ids = _text_ids(probe, model, texts)
    scored: list[list[tuple[str, Any]]] = [[] for _ in texts]
    for members, activations, is_text in _activations(probe, model, ids, batch_size):
        scores = probe.scores_of(activations.numpy())
        scores = scores if probe.kind == "multiclass" else scores[..., 0]
        for row, number in enumerate(members.tolist()):
            text = str(texts[number])
            text_scores: list[Any] = scores[row][is_text[row].numpy()].tolist()
            ((_, spans),) = token_spans(model.tokenizer, [text])
            tokens = [text[start:stop] for start, stop in spans[: len(text_scores)].tolist()]
            scored[number] = list(zip(tokens, text_scores, strict=True))
    return scored


def _model_of(probe: ProbeData, model: LanguageModel | None) -> LanguageModel:
    """Return the model of a probe, loaded by its name where none is given; refuse other weights."""
    if model is None:
        if probe.model_is_folder:  # what a file says is not a path on this machine
            raise ModelError(
                f"The probe of {probe.feature!r} was trained on {probe.model!r}, a model in a local folder, with the "
                f"weights {probe.weight_hash[:12]}. Pass that model: load_model(FOLDER)."
            )
        random = {} if probe.random_init is None else {"random_init": True, "seed": probe.random_init}
        model = load_model(probe.model, probe.revision, dtype=probe.dtype, **random)
    if model.weight_hash != probe.weight_hash:
        raise ModelError(
            f"The probe of {probe.feature!r} was trained on the weights {probe.weight_hash[:12]} of {probe.model!r}, "
            f"and {model.name!r} has the weights {model.weight_hash[:12]}. Pass the model that it was trained on."
        )
    return model


def _text_ids(probe: ProbeData, model: LanguageModel, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """Return the token ids of each text, cut to the context, without special tokens."""
    if isinstance(texts, str):
        raise ProbeError("Pass a list of texts, not a single string.")
    longest = min(probe.context_length, model.context_length) - len(probe.prefix) - len(probe.suffix)
    ids = token_ids(model.tokenizer, list(texts))
    for number, of_text in enumerate(ids):
        if len(of_text) == 0:
            raise ProbeError(f"Text {number} has no tokens. Remove empty texts.")
    n_cut = sum(len(of_text) > longest for of_text in ids)
    if n_cut:
        logger.warning("%d of %d texts are longer than %d tokens; their ends are not scored.", n_cut, len(ids), longest)
    return [of_text[:longest] for of_text in ids]


def _activations(
    probe: ProbeData, model: LanguageModel, ids: list[NDArray[np.int32]], batch_size: int
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]]:
    """Yield batches: numbers of the texts, activations (batch, length, width), and which positions are text.

    Texts are sorted by length, so that little padding is computed.
    """
    order = np.argsort(np.array([-len(of_text) for of_text in ids], np.int64), kind="stable")
    name = f"blocks.{probe.layer}.{probe.hook_point}"
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        length = len(probe.prefix) + len(ids[members[0]]) + len(probe.suffix)
        tokens = torch.zeros((len(members), length), dtype=torch.long)
        mask, is_text = torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
        for row, member in enumerate(members):
            sequence = np.concatenate([probe.prefix, ids[member], probe.suffix]).astype(np.int64)
            tokens[row, : len(sequence)] = torch.from_numpy(sequence)
            mask[row, : len(sequence)] = 1
            is_text[row, len(probe.prefix) : len(sequence) - len(probe.suffix)] = True
        kept: list[torch.Tensor] = []
        model.run(tokens, mask, {name: lambda activation, kept=kept: kept.append(activation.float().cpu())})
        yield members, kept[0], is_text
