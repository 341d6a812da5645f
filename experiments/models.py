"""Language models by name: hub id, TransformerLens alias, local folder, bundled demo; trained or random."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedTokenizerFast

from probing_datasets.foundation.errors import ModelError
from probing_datasets.foundation.hashing import checksum, digest_json
from probing_datasets.model_names import resolve_model_name
from probing_datasets.tokenization import load_tokenizer

transformers.utils.logging.disable_progress_bar()

MAIN_HOOK_POINTS = (
    "mlp.hook_post",
    "mlp.hook_pre",
    "hook_resid_pre",
    "hook_resid_mid",
    "hook_resid_post",
    "hook_attn_out",
    "hook_mlp_out",
    "attn.hook_z",
)
"""Hook points named in error messages, where the model has them."""

LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, AssertionError, SafetensorError)
"""What loading raises; torch asserts that it was compiled for the device."""

Hook = Callable[[torch.Tensor], None]


@dataclass(frozen=True)
class LanguageModel:
    """A model under TransformerLens' bridge, with its tokenizer."""

    name: str
    bridge: TransformerBridge
    tokenizer: PreTrainedTokenizerFast
    weight_hash: str
    """Checksum of all parameters, and of the configuration that they are run with."""
    context_length: int
    """Longest sequence the model takes, in tokens."""

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.bridge.cfg.n_layers

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.bridge.parameters()).device

    def check_layers(self, layers: Iterable[int]) -> tuple[int, ...]:
        """Return the layers in order, all of them when none is given; ModelError when one does not exist."""
        chosen = tuple(sorted(set(layers))) or tuple(range(self.n_layers))
        wrong = [layer for layer in chosen if not 0 <= layer < self.n_layers]
        if wrong:
            raise ModelError(f"{self.name} has layers 0 to {self.n_layers - 1}; there is no layer {wrong[0]}.")
        return chosen

    def check_hook_point(self, hook_point: str) -> None:
        """Raise ModelError, naming the usual ones, when the blocks have no such hook point."""
        if f"blocks.0.{hook_point}" in self.bridge.hook_dict:
            return
        exist = [h for h in MAIN_HOOK_POINTS if f"blocks.0.{h}" in self.bridge.hook_dict]
        n = sum(name.startswith("blocks.0.") for name in self.bridge.hook_dict)
        raise ModelError(
            f"The blocks of {self.name} have no hook point {hook_point!r}; they have {', '.join(exist)} "
            f"and others ({n} in all)."
        )

    def width(self, hook_point: str) -> int:
        """Return the number of neurons at a hook point, found by running one token."""
        widths: list[int] = []
        token = torch.zeros((1, 1), dtype=torch.long)
        self.run(token, torch.ones_like(token), {f"blocks.0.{hook_point}": lambda a: widths.append(a.shape[-1])})
        return widths[0]

    def run(self, tokens: torch.Tensor, mask: torch.Tensor, hooks: dict[str, Hook]) -> None:
        """Run the model without its unembedding and call a hook on each named activation.

        Parameters
        ----------
        tokens : (batch, length) int64
            Token ids, padded on the right.
        mask : (batch, length) int64
            1 where there is a token, 0 where there is padding.
        hooks : dict
            Full hook name to a function of the activation (batch, length, width), where axes
            behind the second are flattened into one.
        """
        wrapped = [(name, self._wrap(name, hook, tuple(tokens.shape))) for name, hook in hooks.items()]
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        with torch.inference_mode(), self.bridge.hooks(fwd_hooks=wrapped):
            try:
                self._body(input_ids=tokens, attention_mask=mask, **self._forward_options())
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    f"A batch of {len(tokens)} sequences of {self.name} does not fit into the memory of {self.device}. "
                    "Lower --batch_size; finished parts are kept."
                ) from error

    @property
    def _body(self) -> torch.nn.Module:
        """The model without its unembedding, which would cost half of the time of a small model."""
        return cast(torch.nn.Module, self.bridge.original_model.base_model)

    def _forward_options(self) -> dict[str, bool]:
        """Keep a causal model from filling a cache of keys and values that nobody reads."""
        return {"use_cache": False} if hasattr(self.bridge.original_model.config, "use_cache") else {}

    def _wrap(self, name: str, function: Hook, shape: tuple[int, ...]) -> Callable[..., None]:
        def call(activation: torch.Tensor, hook: object = None) -> None:  # noqa: ARG001 (passed by name)
            if activation.ndim < 3 or tuple(activation.shape[:2]) != shape:
                raise ModelError(
                    f"{name} of {self.name} has shape {tuple(activation.shape)}, not (batch, position, width); "
                    "choose a hook point with one vector per position."
                )
            function(activation.flatten(2))

        return call


def load_model(
    name: str,
    revision: str | None = None,
    random_init: bool = False,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
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
        ``cpu``, ``cuda``, ``mps``.
    dtype : str
        Name of a torch floating-point dtype.

    Raises
    ------
    ModelError
        When the model cannot be found, loaded or bridged, or the device does not exist.
    """
    path = resolve_model_name(name)
    tokenizer = load_tokenizer(name, revision)
    try:
        model = _hugging_face_model(path, revision, random_init, seed, getattr(torch, dtype))
        model = model.to(torch.device(device)).eval()
    except LOAD_ERRORS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The model {name!r} (looked for {path!r}) could not be loaded: {reason} "
            "Give `demo`, a local model folder, a TransformerLens alias or a hub id, and a device that exists."
        ) from error
    digest = checksum(chain([_architecture(model).encode()], _parameter_bytes(model)))
    try:
        bridge = TransformerBridge.boot_transformers(
            path, hf_model=model, tokenizer=tokenizer, device=device, dtype=model.dtype
        )
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"TransformerLens cannot bridge {name!r} ({type(model).__name__}): {error}") from error
    bridge.eval()
    return LanguageModel(name, bridge, tokenizer, digest, getattr(model.config, "max_position_embeddings", 2**31))


def _hugging_face_model(path: str, revision: str | None, random_init: bool, seed: int, dtype: torch.dtype) -> Any:
    config = AutoConfig.from_pretrained(path, revision=revision)
    masked = any("MaskedLM" in a or a == "BertModel" for a in config.architectures or ())
    auto = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    if not random_init:
        return auto.from_pretrained(path, revision=revision, dtype=dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return auto.from_config(config, dtype=dtype)


def _architecture(model: Any) -> str:
    """Return the digest of the configuration, without what does not decide the activations."""
    aside = {"_name_or_path", "transformers_version", "dtype", "architectures"}
    return digest_json({k: v for k, v in model.config.to_dict().items() if k not in aside})


def _parameter_bytes(model: torch.nn.Module) -> Iterable[bytes | memoryview]:
    for name, parameter in sorted(model.state_dict().items()):
        yield name.encode()
        yield memoryview(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
