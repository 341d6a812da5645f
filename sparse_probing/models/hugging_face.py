"""Hugging Face models: built with trained, random or no weights, and the hash of what they hold."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from itertools import chain
from typing import Any, Literal

import torch
from accelerate.utils import align_module_device
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from probing_datasets.foundation.errors import ModelError
from probing_datasets.foundation.hashing import checksum, digest_json

Quantization = Literal["8bit", "4bit"]


def pretrained_model(path: str, revision: str | None, dtype: torch.dtype, placement: dict[str, Any]) -> PreTrainedModel:
    """Load trained weights; those that the checkpoint lacks (the head of an encoder) are the same every time."""
    auto = _auto_class(AutoConfig.from_pretrained(path, revision=revision))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return auto.from_pretrained(path, revision=revision, dtype=dtype, **placement)


def random_model(config: PretrainedConfig, seed: int, dtype: torch.dtype) -> PreTrainedModel:
    """Build a model with random weights drawn from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _auto_class(config).from_config(config, dtype=dtype)


def weightless_model(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Build a model on PyTorch's meta device: all modules and shapes, and no memory for weights."""
    with torch.device("meta"):
        return _auto_class(config).from_config(config, dtype=dtype).eval()


def _auto_class(config: PretrainedConfig) -> Any:
    masked = any("MaskedLM" in a or a == "BertModel" for a in config.architectures or ())
    return AutoModelForMaskedLM if masked else AutoModelForCausalLM


def placement_options(
    device: str, device_map: str | dict[str, Any] | None, quantization: Quantization | None
) -> dict[str, Any]:
    """Return the options that make ``from_pretrained`` spread or quantise the weights; none for a plain model."""
    if quantization is None:
        return {} if device_map is None else {"device_map": device_map}
    _check_quantization(quantization)
    config = BitsAndBytesConfig(load_in_8bit=quantization == "8bit", load_in_4bit=quantization == "4bit")
    return {"device_map": device_map or {"": device}, "quantization_config": config}


def _check_quantization(quantization: Quantization) -> None:
    installed = importlib.util.find_spec("bitsandbytes") is not None
    if not installed or not torch.cuda.is_available():
        raise ModelError(
            f"The weights cannot be quantised to {quantization}: there is no "
            f"{'CUDA device' if installed else 'package bitsandbytes'} here. "
            "Install bitsandbytes and run on a CUDA device, or load the weights with --dtype bfloat16."
        )


def weight_hash(model: PreTrainedModel) -> str:
    """Return the checksum of all parameters, and of the configuration that they are run with."""
    return checksum(chain([_architecture(model.config).encode()], _parameter_bytes(model)))


def _architecture(config: PretrainedConfig) -> str:
    """Return the digest of the configuration, without what does not decide the activations."""
    aside = {"_name_or_path", "transformers_version", "dtype", "architectures"}
    return digest_json({k: v for k, v in config.to_dict().items() if k not in aside})


def _parameter_bytes(model: PreTrainedModel) -> Iterable[bytes | memoryview]:
    for name in sorted(model.state_dict()):
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        yield name.encode()
        with align_module_device(module):  # weights that accelerate keeps on disk are there for this long
            values = module.state_dict()[leaf].detach().cpu().contiguous()
        yield memoryview(values.flatten().view(torch.uint8).numpy())
