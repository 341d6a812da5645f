"""The model of some probes: loaded by its name, and refused where it is another one than they were trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models import LanguageModel, load_model
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import hook_name

logger = logging.getLogger(__name__)


def model_of(
    probes: Sequence[ProbeData], model: LanguageModel | None = None, allow_other_weights: bool = False
) -> LanguageModel:
    """Return the one model of all probes.

    Parameters
    ----------
    probes : sequence of ProbeData
        At least one.
    model : LanguageModel, optional
        A loaded model; by default the one that the first probe names is loaded.
    allow_other_weights : bool
        Warn of a model with other weights or another tokenizer instead of refusing it.

    Raises
    ------
    ModelError
        When the model cannot be loaded or is not the one that the probes were trained on; the message names that.
    """
    model = load_model_of(probes[0]) if model is None else model
    for probe in probes:
        check_model(probe, model, allow_other_weights)
    return model


def load_model_of(probe: ProbeData, name: str | None = None, device: str = "auto") -> LanguageModel:
    """Load the model that a probe names, or one by another name, in the precision of the probe.

    Raises
    ------
    ModelError
        When it cannot be loaded, or the probe names a local folder, which a file must not choose.
    """
    if name is not None:
        return load_model(name, device=device, dtype=probe.dtype)
    if probe.model_is_folder:
        raise ModelError(
            f"The probe of {probe.feature!r} was trained on {probe.model!r}, a model in a local folder, with the "
            f"weights {probe.weight_hash[:12]}. Pass that model: load_model(FOLDER), or --model FOLDER."
        )
    random = {} if probe.random_init is None else {"random_init": True, "seed": probe.random_init}
    return load_model(probe.model, probe.revision, device=device, dtype=probe.dtype, **random)


def check_model(probe: ProbeData, model: LanguageModel, allow_other_weights: bool = False) -> None:
    """Raise ModelError unless a model is the one that a probe was trained on, and can be read where the probe reads.

    With ``allow_other_weights`` other weights and another tokenizer are only warned of: scores may mean nothing.
    """
    wanted = f"{probe.model!r}" + (f" at revision {probe.revision}" if probe.revision else "")
    if probe.random_init is not None:
        wanted += f" with random weights of seed {probe.random_init}"
    differences = []
    if model.weight_hash != probe.weight_hash:
        differences.append(
            f"was trained on the weights {probe.weight_hash[:12]} of {wanted} ({probe.dtype}), and {model.name!r} has "
            f"the weights {model.weight_hash[:12]}"
        )
    elif probe.tokenizer_hash and model.tokenizer_hash != probe.tokenizer_hash:
        differences.append(f"was trained with the tokenizer of {wanted}, and that of {model.name!r} is another one")
    if differences:
        text = f"The probe of {probe.feature!r} {differences[0]}."
        if not allow_other_weights:
            raise ModelError(
                f"{text} Pass the model that it was trained on, or allow_other_weights (--allow_other_weights) for a "
                "copy of it with other weights, on which scores may mean nothing."
            )
        logger.warning("%s Scores may mean nothing.", text)
    frame = (*probe.prefix, *probe.suffix)
    n_tokens = cast(Any, model.model.get_input_embeddings()).weight.shape[0]
    if max(frame, default=0) >= n_tokens:
        raise ModelError(
            f"The probe of {probe.feature!r} puts the token {max(frame)} around a text, and {model.name} has "
            f"{n_tokens} tokens. Pass the model that it was trained on."
        )
    if len(frame) >= model.context_length:
        raise ModelError(
            f"The probe of {probe.feature!r} puts {len(frame)} special tokens around a text, and {model.name} takes "
            f"{model.context_length} tokens. Pass the model that it was trained on."
        )
    if hook_name(probe) == probe.hook_point:
        width = model.width_of(probe.hook_point)
    else:
        model.check_layers([probe.layer])
        width = model.widths([probe.hook_point], [probe.layer])[probe.hook_point]
    if len(probe.support) and int(probe.support.max()) >= width:
        raise ModelError(
            f"The probe of {probe.feature!r} reads neuron {int(probe.support.max())} of {probe.hook_point} of layer "
            f"{probe.layer}, and {model.name} has {width} there. Pass the model that it was trained on."
        )
