"""A trained linear probe of one hook point, and the scores that it gives to texts and tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.building.tokenization import token_ids, token_spans
from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.models import LanguageModel, load_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SavedProbe:
    """A linear function of some neurons that says whether a text has a feature.

    The score of activations x is ``intercept + sum_j coef_j x[support_j]``; a positive score means that the
    feature is present.
    """

    feature: str
    """Name of the feature."""
    model: str
    """Name or folder of the model whose activations the probe reads."""
    revision: str | None
    """Revision of a model on the hub."""
    random_init: int | None
    """Seed of the random weights of the model; None for trained weights."""
    weight_hash: str
    """Hash of the weights of the model; another model is refused."""
    dtype: str
    """Precision in which the model ran, such as float32."""
    layer: int
    hook_point: str
    """Hook point inside the layer, such as ``mlp.hook_post``."""
    aggregation: Aggregation
    """How the activations of the tokens of a text become one vector; none: the probe was trained on tokens."""
    prefix: tuple[int, ...]
    """Ids of the special tokens before every text."""
    suffix: tuple[int, ...]
    """Ids of the special tokens behind every text."""
    context_length: int
    """Longest sequence of the training data, in tokens; longer texts are cut."""
    support: NDArray[np.int64]
    """(k,) neurons."""
    coef: NDArray[np.float64]
    """(k,) coefficients, for activations as the model computes them."""
    intercept: float

    def __repr__(self) -> str:
        """Return the feature, the place and the number of neurons."""
        place = f"{self.hook_point} of layer {self.layer}"
        return f"SavedProbe({self.feature!r}, {len(self.support)} neurons at {place} of {self.model!r})"

    def score(
        self, texts: Sequence[str], per_token: bool = False, model: LanguageModel | None = None, batch_size: int = 32
    ) -> NDArray[np.float64] | list[list[tuple[str, float]]]:
        """Return the score of each text, or of each token of each text.

        The model runs up to the layer of the probe.

        Parameters
        ----------
        texts : sequence of str
        per_token : bool
            Score every token by its own activation, whatever the aggregation of the probe.
        model : LanguageModel, optional
            A model that is loaded already (``sparse_probing.models.load_model``); by default it is loaded by name.
        batch_size : int
            Texts of one forward pass.

        Returns
        -------
        (n,) float64, or list of lists
            With ``per_token`` for each text a list of pairs of a token's text and its score.

        Raises
        ------
        ModelError
            When the model has other weights than the probe was trained on.
        ProbeError
            When a text is empty, or when ``texts`` is a single string; and when the probe was trained on single
            tokens and ``per_token`` is false.
        """
        if per_token:
            return score_tokens(self, texts, model, batch_size)
        return score_texts(self, texts, model, batch_size)

    def predict(
        self, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
    ) -> NDArray[np.bool_]:
        """Return (n,) whether each text has the feature: whether its score is positive."""
        return score_texts(self, texts, model, batch_size) > 0


def score_texts(
    probe: SavedProbe, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
) -> NDArray[np.float64]:
    """Return the score (n,) of each text: the probe of its aggregated activations."""
    if probe.aggregation == "none":
        raise ProbeError(f"The probe of {probe.feature!r} was trained on tokens. Score them with per_token=True.")
    model = _model_of(probe, model)
    ids = _text_ids(probe, model, texts)
    scores = np.empty(len(texts))
    for members, activations, is_text in _activations(probe, model, ids, batch_size):
        pooled = pool(activations, is_text, probe.aggregation)[:, torch.from_numpy(probe.support)]
        scores[members] = pooled.double().numpy() @ probe.coef + probe.intercept
    return scores


def score_tokens(
    probe: SavedProbe, texts: Sequence[str], model: LanguageModel | None = None, batch_size: int = 32
) -> list[list[tuple[str, float]]]:
    """Return for each text the pairs of a token's text and its score, special tokens excluded."""
    model = _model_of(probe, model)
    ids = _text_ids(probe, model, texts)
    scored: list[list[tuple[str, float]]] = [[] for _ in texts]
    for members, activations, is_text in _activations(probe, model, ids, batch_size):
        chosen = activations[..., torch.from_numpy(probe.support)].double().numpy()
        scores = chosen @ probe.coef + probe.intercept
        for row, number in enumerate(members.tolist()):
            text = str(texts[number])
            text_scores: list[float] = scores[row][is_text[row].numpy()].tolist()
            ((_, spans),) = token_spans(model.tokenizer, [text])
            tokens = [text[start:stop] for start, stop in spans[: len(text_scores)].tolist()]
            scored[number] = list(zip(tokens, text_scores, strict=True))
    return scored


def _model_of(probe: SavedProbe, model: LanguageModel | None) -> LanguageModel:
    """Return the model of a probe, loaded by its name where none is given; refuse other weights."""
    if model is None:
        random = {} if probe.random_init is None else {"random_init": True, "seed": probe.random_init}
        model = load_model(probe.model, probe.revision, dtype=probe.dtype, **random)
    if model.weight_hash != probe.weight_hash:
        raise ModelError(
            f"The probe of {probe.feature!r} was trained on the weights {probe.weight_hash[:12]} of {probe.model!r}, "
            f"and {model.name!r} has the weights {model.weight_hash[:12]}. Pass the model that it was trained on."
        )
    return model


def _text_ids(probe: SavedProbe, model: LanguageModel, texts: Sequence[str]) -> list[NDArray[np.int32]]:
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
    probe: SavedProbe, model: LanguageModel, ids: list[NDArray[np.int32]], batch_size: int
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
