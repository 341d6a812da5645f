"""Load models by name, or take loaded ones: hub id, alias, local folder, demo; trained, random or without weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from probing_datasets.building.tokenization import load_tokenizer, refuse_remote_code
from probing_datasets.foundation.errors import ModelError, first_line
from probing_datasets.model_names import resolve_model_name
from sparse_probing.models.hugging_face import (
    Quantization,
    context_length,
    model_under_bridge,
    placement_options,
    pretrained_model,
    random_model,
    weight_hash,
    weightless_model,
)
from sparse_probing.models.language_model import LanguageModel


def resolved_device(device: str) -> str:
    """Return the device that ``auto`` means in this process: ``cuda`` if PyTorch has it here, otherwise ``cpu``.

    Other names are returned unchanged.
    """
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_model(
    name: str,
    revision: str | None = None,
    random_init: bool = False,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    device_map: str | dict[str, Any] | None = None,
    quantization: Quantization | None = None,
    weights: bool = True,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : str
        ``demo``, a local folder, a TransformerLens alias or a hub id.
    revision : str, optional
        Revision on the hub.
    random_init : bool
        Build the architecture with random weights drawn from ``seed`` instead of loading them.
    seed : int
        Seed of the random weights.
    device : str
        ``auto`` (:func:`resolved_device`), ``cpu``, ``cuda``, ``mps``; ignored where ``device_map`` is given.
    dtype : str
        Name of a torch floating-point dtype.
    device_map : str or dict, optional
        How accelerate spreads the model over devices: ``auto``, ``balanced``, or modules to devices.
    quantization : {'8bit', '4bit'}, optional
        Quantise the weights with bitsandbytes; needs CUDA.
    weights : bool
        Whether to load weights. A model without weights has layers, hook points, widths and a
        context length, takes no memory, and cannot run.
    trust_remote_code : bool
        Whether Python code in the folder of the model may be run. Without it a class of transformers is used, if
        transformers has one for this architecture.

    Raises
    ------
    ModelError
        When the model cannot be found or loaded, the device does not exist, the weights
        cannot be quantised, or the model needs code that is not trusted.
    """
    device = resolved_device(device)
    placement = placement_options(device, device_map, quantization) if weights else {}
    if random_init and placement:
        raise ModelError("Random weights can be neither quantised nor spread over devices. Remove --random_init.")
    path = resolve_model_name(name)
    tokenizer = load_tokenizer(name, revision, trust_remote_code)
    torch_dtype = getattr(torch, dtype)
    try:
        if weights and not random_init:
            model = pretrained_model(path, revision, torch_dtype, placement, trust_remote_code)
        else:
            config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
            if weights:
                model = random_model(config, seed, torch_dtype, trust_remote_code)
            else:
                model = weightless_model(config, torch_dtype, trust_remote_code)
        model = model if placement or not weights else model.to(torch.device(device))  # type: ignore[arg-type]
    except ModelError:
        raise
    except Exception as error:  # a damaged file makes each library raise its own errors
        refuse_remote_code(error, f"The model {name!r}", path)
        reason = first_line(error).rstrip(".")
        advice = (
            "Check that this folder is what `save_pretrained` wrote, and pass a device that exists"
            if Path(path).is_dir()
            else "Pass `demo`, a local model folder, a TransformerLens alias or a hub id, and a device that exists"
        )
        raise ModelError(
            f"The model {name!r} (looked for {path!r}) could not be loaded: {reason}. {advice}."
        ) from error
    return LanguageModel(name, model.eval(), tokenizer, weight_hash(model) if weights else "", context_length(model))


LoadedModel = LanguageModel | PreTrainedModel | TransformerBridge
"""A model in memory."""


def wrap_model(
    model: LoadedModel, tokenizer: PreTrainedTokenizerFast | None = None, name: str | None = None
) -> LanguageModel:
    """Return a model in memory as a `LanguageModel`, equal to the one that `load_model` loads from the same weights.

    The weights are not copied, and the given object is not changed.

    Parameters
    ----------
    model : LanguageModel or transformers.PreTrainedModel or TransformerBridge
        Loaded weights. Of a bridge, the Hugging Face model under it runs.
    tokenizer : transformers.PreTrainedTokenizerFast, optional
        Default: the tokenizer beside the model's ``name_or_path``, or that of the `LanguageModel`.
    name : str, optional
        Name of the model in the paths of its results. Default: its ``name_or_path``, or that of the `LanguageModel`.

    Raises
    ------
    ModelError
        When the model has no name, no tokenizer is given and none is found, or the weights of a bridge were processed.
    """
    if isinstance(model, LanguageModel):
        if name in (None, model.name) and tokenizer is None:
            return model
        return replace(model, name=name or model.name, tokenizer=tokenizer or model.tokenizer)
    if isinstance(model, TransformerBridge):
        model = model_under_bridge(model)
    name = name or model.name_or_path
    if not name:
        raise ModelError(f"This {type(model).__name__} has no name_or_path. Pass a name for its results with name=.")
    if tokenizer is None:
        try:
            tokenizer = load_tokenizer(model.name_or_path or name)
        except ModelError as error:
            raise ModelError(f"The tokenizer of the model {name!r} is missing. Pass it with tokenizer=.") from error
    return LanguageModel(name, model, tokenizer, weight_hash(model), context_length(model))
