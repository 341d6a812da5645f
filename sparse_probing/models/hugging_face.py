"""Build Hugging Face models with trained, random or no weights, and hash what they hold."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from itertools import chain
from typing import Any, Literal, cast

import torch
from accelerate.utils import align_module_device
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils.hub import TRANSFORMERS_DYNAMIC_MODULE_NAME

from probing_datasets.foundation.errors import ModelError
from probing_datasets.foundation.hashing import checksum, digest_json

Quantization = Literal["8bit", "4bit"]


def pretrained_model(
    path: str, revision: str | None, dtype: torch.dtype, placement: dict[str, Any], trust_remote_code: bool
) -> PreTrainedModel:
    """Load trained weights; those missing from the checkpoint (the head of an encoder) are the same every time."""
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    auto = _auto_class(AutoConfig.from_pretrained(path, **options))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return auto.from_pretrained(path, dtype=dtype, **options, **placement)


def random_model(
    config: PretrainedConfig, seed: int, dtype: torch.dtype, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Build a model with random weights drawn from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _auto_class(config).from_config(config, dtype=dtype, trust_remote_code=trust_remote_code)


def weightless_model(config: PretrainedConfig, dtype: torch.dtype, trust_remote_code: bool) -> PreTrainedModel:
    """Build a model on PyTorch's meta device: all modules and shapes, and no memory for weights."""
    with torch.device("meta"):
        return _auto_class(config).from_config(config, dtype=dtype, trust_remote_code=trust_remote_code).eval()


def has_remote_code(model: PreTrainedModel) -> bool:
    """Whether the class of a model is defined by Python code in the folder of the model, which has been run."""
    return type(model).__module__.partition(".")[0] == TRANSFORMERS_DYNAMIC_MODULE_NAME


def _auto_class(config: PretrainedConfig) -> Any:
    """Return the class of transformers that loads a model.

    Raises
    ------
    ModelError
        When the model is neither a decoder nor an encoder of text.
    """
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"This is a model of type {kind}, an encoder and a decoder, whose blocks are not one sequence of layers. "
            "Choose a decoder (a causal language model) or an encoder (a masked language model)."
        )
    is_masked = any("MaskedLM" in name or name == "BertModel" for name in config.architectures or ())
    auto = AutoModelForMaskedLM if is_masked else AutoModelForCausalLM
    if type(config) not in auto._model_mapping and not getattr(config, "auto_map", None):
        raise ModelError(
            f"This is a model of type {kind}, which transformers loads neither as a causal nor as a masked language "
            "model. Choose one of these."
        )
    return auto


def position_offset(model: PreTrainedModel) -> int:
    """Return the number of the first position: the id of the padding token and one for RoBERTa and its kin, else 0.

    Such a model numbers the positions of tokens from there, so as many of its embeddings are never a token's.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def context_length(model: PreTrainedModel) -> int:
    """Return the number of tokens that the longest sequence of a model has."""
    config = model.config
    lengths = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len", "n_ctx"))
    longest = next((length for length in lengths if length), None)
    return 2**31 if longest is None else longest - position_offset(model)


def placement_options(
    device: str, device_map: str | dict[str, Any] | None, quantization: Quantization | None
) -> dict[str, Any]:
    """Return the options that make ``from_pretrained`` spread or quantise the weights; none for a plain model.

    Raises
    ------
    ModelError
        When weights are to be quantised where bitsandbytes or a CUDA device is missing.
    """
    if quantization is None:
        return {} if device_map is None else {"device_map": device_map}
    installed = importlib.util.find_spec("bitsandbytes") is not None
    if not installed or not torch.cuda.is_available():
        raise ModelError(
            f"The weights cannot be quantised to {quantization}: there is no "
            f"{'CUDA device' if installed else 'package bitsandbytes'} here. "
            "Install bitsandbytes and run on a CUDA device, or load the weights with --dtype bfloat16."
        )
    config = BitsAndBytesConfig(load_in_8bit=quantization == "8bit", load_in_4bit=quantization == "4bit")
    return {"device_map": device_map or {"": device}, "quantization_config": config}


def model_under_bridge(bridge: TransformerBridge) -> PreTrainedModel:
    """Build the Hugging Face model of which a bridge was made; it shares the weights, and the bridge is not changed.

    A bridge replaces modules of its model by components with other names, and sets eager attention. Here
    the architecture is built again, with the attention that transformers chooses, and takes the tensors.

    Raises
    ------
    ModelError
        When the bridge has processed the weights (compatibility mode): they are then not those of the model.
    """
    if bridge.compatibility_mode:
        raise ModelError(
            "This TransformerBridge is in compatibility mode, in which its weights are processed. "
            "Boot it again and pass it before enable_compatibility_mode()."
        )
    bridged = cast(PreTrainedModel, bridge.original_model)
    config = type(bridged.config).from_dict(bridged.config.to_dict())  # a dictionary leaves out the kind of attention
    model = type(bridged)._from_config(config, dtype=bridged.dtype)
    names = model.state_dict().keys()
    tensors = {name.replace("._original_component", ""): tensor for name, tensor in bridged.state_dict().items()}
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name in names}, assign=True)
    model.tie_weights()
    model.name_or_path = bridged.name_or_path
    return model.to(bridged.device).eval()  # type: ignore[arg-type]


def weight_hash(model: PreTrainedModel) -> str:
    """Return the checksum of all parameters, and of the configuration that they are run with."""
    no_effect = {"_name_or_path", "transformers_version", "dtype", "architectures"}  # on the activations
    architecture = digest_json({k: v for k, v in model.config.to_dict().items() if k not in no_effect})
    return checksum(chain([architecture.encode()], _parameter_bytes(model)))


def _parameter_bytes(model: PreTrainedModel) -> Iterable[bytes | memoryview]:
    for name in sorted(model.state_dict()):
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        yield name.encode()
        with align_module_device(module):  # loads weights that accelerate keeps on disk
            values = module.state_dict()[leaf].detach().cpu().contiguous()
        yield memoryview(values.flatten().view(torch.uint8).numpy())
