"""Models by name: hub id, TransformerLens alias, local folder, bundled demo; trained, random or without weights."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.foundation.errors import ModelError
from probing_datasets.model_names import resolve_model_name
from sparse_probing.models.hugging_face import (
    Quantization,
    placement_options,
    pretrained_model,
    random_model,
    weight_hash,
    weightless_model,
)
from sparse_probing.models.language_model import LanguageModel

LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, AssertionError, ImportError, SafetensorError)
"""What loading raises; torch asserts that it was compiled for the device."""


def load_model(
    name: str,
    revision: str | None = None,
    random_init: bool = False,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    device_map: str | dict[str, Any] | None = None,
    quantization: Quantization | None = None,
    weights: bool = True,
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
        ``cpu``, ``cuda``, ``mps``; ignored where ``device_map`` is given.
    dtype : str
        Name of a torch floating-point dtype.
    device_map : str or dict, optional
        How accelerate spreads the model over devices: ``auto``, ``balanced``, or modules to devices.
    quantization : {'8bit', '4bit'}, optional
        Quantise the weights with bitsandbytes; needs CUDA.
    weights : bool
        Without weights the model has layers, hook points, widths and a context length, takes no
        memory, and cannot run.

    Raises
    ------
    ModelError
        When the model cannot be found, loaded or bridged, the device does not exist, or
        quantisation cannot work.
    """
    placement = placement_options(device, device_map, quantization) if weights else {}
    if random_init and placement:
        raise ModelError("Random weights are neither quantised nor spread over devices: leave out --random_init.")
    path = resolve_model_name(name)
    tokenizer = load_tokenizer(name, revision)
    try:
        model = _build(path, revision, random_init, seed, getattr(torch, dtype), placement, weights)
        model = model if placement or not weights else model.to(torch.device(device))  # type: ignore[arg-type]
    except LOAD_ERRORS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The model {name!r} (looked for {path!r}) could not be loaded: {reason} "
            "Give `demo`, a local model folder, a TransformerLens alias or a hub id, and a device that exists."
        ) from error
    context_length = getattr(model.config, "max_position_embeddings", 2**31)
    return LanguageModel(name, model.eval(), tokenizer, weight_hash(model) if weights else "", context_length)


def _build(
    path: str,
    revision: str | None,
    random_init: bool,
    seed: int,
    dtype: torch.dtype,
    placement: dict[str, Any],
    weights: bool,
) -> PreTrainedModel:
    if weights and not random_init:
        return pretrained_model(path, revision, dtype, placement)
    config = AutoConfig.from_pretrained(path, revision=revision)
    return random_model(config, seed, dtype) if weights else weightless_model(config, dtype)
