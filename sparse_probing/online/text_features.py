"""The activations of new texts at the places of a run, pooled as its rows were."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.models import LanguageModel
from sparse_probing.online.places import Place
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_prompts import Framing, make_prompts
from sparse_probing.saved_probes.text_scorer import prompt_batch


def text_features(
    probe: ProbeData, places: Sequence[Place], texts: Sequence[str], model: LanguageModel, batch_size: int
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Return what the probes of some places read of new texts.

    Parameters
    ----------
    probe : ProbeData
        Any probe of the run: it knows how texts become sequences.
    places : sequence of Place
        Those that aggregate the tokens of a text.
    texts : sequence of str
    model : LanguageModel
    batch_size : int

    Returns
    -------
    dict
        (n, width) float32 by the name of a place and its pooling.

    Raises
    ------
    ProbeError
        When a text is empty or is not a string.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ProbeError("Pass a list of texts.")
    if batch_size < 1:
        raise ProbeError(f"batch_size must be at least 1, not {batch_size}.")
    framing = Framing.of(probe, model.context_length)
    prompts = make_prompts(texts, framing, model.tokenizer, with_spans=False)
    if empty := [number for number, prompt in enumerate(prompts) if not len(prompt.ids)]:
        raise ProbeError(f"Text {empty[0]} has no features: {prompts[empty[0]].note}. Remove it, or shorten it.")
    features = {
        (place.location.name, place.pooling): np.empty((len(texts), place.location.width), np.float32)
        for place in places
    }
    order = sorted(range(len(texts)), key=lambda i: -len(prompts[i].ids))
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        tokens, mask, _, is_pooled = prompt_batch(framing, [prompts[i] for i in members])
        on_device = is_pooled.to(model.device)

        def keep(name: str, activation: torch.Tensor, members: list[int] = members, valid: torch.Tensor = on_device):
            for place in places:
                if place.location.name == name:
                    rows = pool(activation, valid.to(activation.device), place.pooling)  # type: ignore[arg-type]
                    features[name, place.pooling][members] = rows.float().cpu().numpy()

        model.run(tokens, mask, {name: partial(keep, name) for name, _ in features})
    return features
