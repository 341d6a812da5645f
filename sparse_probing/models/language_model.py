"""A language model that calls a function on its activations at named hook points."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import Any, cast

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from probing_datasets.building.tokenization import tokenizer_hash
from probing_datasets.foundation.errors import ModelError, ModelMemoryError, list_known
from sparse_probing.models.hook_points import HookPoint, build_bridge, find_hook_points, trace_hook_points
from sparse_probing.models.hooks import Hook, LastHookFired, OneShotHooks, hook_site
from sparse_probing.models.hugging_face import has_remote_code, position_offset
from sparse_probing.models.submodules import (
    SubmoduleTrace,
    canonical_name,
    submodule_point,
    trace_submodules,
    trace_twin,
    vector_names,
)
from sparse_probing.models.tensor_trace import TRACE_SHAPE, Site, forward_options

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


@dataclass(frozen=True, repr=False)
class LanguageModel:
    """A Hugging Face model with its tokenizer and the hook points that TransformerLens gives it."""

    name: str
    """Name of the model in the paths of its results, and in error messages."""
    model: PreTrainedModel
    """The model as transformers loads it; on the meta device when loaded without weights."""
    tokenizer: PreTrainedTokenizerFast
    weight_hash: str
    """Checksum of all parameters, and of the configuration that they are run with; empty without weights."""
    context_length: int
    """Longest sequence the model takes, in tokens."""

    def __repr__(self) -> str:
        dtype = str(self.model.dtype).removeprefix("torch.")
        weights = f"{dtype} on {self.device}" if self.weight_hash else "without weights"
        return f"LanguageModel({self.name!r}, {type(self.model).__name__}, {weights}, {self.context_length} tokens)"

    @cached_property
    def hook_points(self) -> dict[str, HookPoint]:
        """All hook points by full name, such as ``blocks.0.mlp.hook_post``."""
        hook_points = find_hook_points(self.model.config, has_remote_code(self.model))
        if self.weight_hash and all(point.shape is None for point in hook_points.values()):
            hook_points = trace_hook_points(self._bridge)
        return hook_points

    @cached_property
    def submodules(self) -> SubmoduleTrace:
        """What the submodules of the Hugging Face model take and return."""
        traced = trace_twin(self.model.config, has_remote_code(self.model))
        if traced is None and self.weight_hash:
            with torch.inference_mode(False):  # inference mode counts no changes in place
                traced = trace_submodules(self.model)
        if traced is None:
            raise ModelError(
                f"The submodules of {self.name} cannot be examined without weights: {type(self.model).__name__} "
                "computes with the values of tensors. Run without --dry_run."
            )
        return traced

    @cached_property
    def module_names(self) -> frozenset[str]:
        """Paths of all submodules."""
        return frozenset(name for name, _ in self.model.named_modules())

    def is_submodule(self, name: str) -> bool:
        """Whether a name is that of the input or output of a submodule, as `point` takes it."""
        return canonical_name(name, self.module_names) is not None

    @cached_property
    def tokenizer_hash(self) -> str:
        """Hash of everything that maps a text to token ids; it takes a second for a large vocabulary."""
        return tokenizer_hash(self.tokenizer)

    @cached_property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len({name.split(".")[1] for name in self.hook_points if name.startswith("blocks.")})

    @property
    def device(self) -> torch.device:
        """The device that takes the tokens."""
        embeddings = self.model.get_input_embeddings()
        offloaded = getattr(getattr(embeddings, "_hf_hook", None), "execution_device", None)
        return self.model.device if offloaded is None else torch.device(offloaded)

    def check_layers(self, layers: Iterable[int]) -> tuple[int, ...]:
        """Return the layers in order, all of them when none is given; ModelError when one does not exist."""
        ordered = tuple(sorted(set(layers))) or tuple(range(self.n_layers))
        unknown = [layer for layer in ordered if not 0 <= layer < self.n_layers]
        if unknown:
            raise ModelError(f"{self.name} has layers 0 to {self.n_layers - 1}; there is no layer {unknown[0]}.")
        return ordered

    def check_hook_point(self, hook_point: str, layers: Sequence[int] = (0,)) -> None:
        """Raise ModelError when a block has no such hook point, or when it is not what its name says."""
        for layer in layers:
            if f"blocks.{layer}.{hook_point}" not in self.hook_points:
                existing = [name for name in MAIN_HOOK_POINTS if f"blocks.{layer}.{name}" in self.hook_points]
                n_existing = sum(name.startswith(f"blocks.{layer}.") for name in self.hook_points)
                raise ModelError(
                    f"The blocks of {self.name} (block {layer}) have no hook point {hook_point!r}; they have "
                    f"{', '.join(existing)} and others ({n_existing} in all)."
                )
        misnamed = [layer for layer in layers if self.hook_points[f"blocks.{layer}.{hook_point}"].misnomer]
        if misnamed:
            others = [layer for layer in layers if layer not in misnamed]
            choose = f" or choose other layers with --layers, among {', '.join(map(str, others))}" if others else ""
            raise ModelError(
                f"{hook_point} of {self.name} is not what its name says in {len(misnamed)} of {len(layers)} layers "
                f"(layer {misnamed[0]} first): {self.hook_points[f'blocks.{misnamed[0]}.{hook_point}'].misnomer}. "
                f"Use hook_mlp_out, hook_attn_out or hook_resid_post,{choose or ' which are what they say'}."
            )

    def point(self, name: str) -> HookPoint:
        """Return the activation of a full hook name or of a submodule; ModelError when it does not exist.

        Parameters
        ----------
        name : str
            A full hook name such as ``blocks.5.hook_mlp_out``, or a submodule of the Hugging Face model such as
            ``transformer.h.5.mlp``, which means its output, or ``transformer.h.5.mlp.input``.
        """
        submodule = canonical_name(name, self.module_names)
        if submodule is not None:
            return submodule_point(self.submodules, submodule, self.name)
        if name not in self.hook_points:
            known = list_known(name, [*vector_names(self.submodules), *self.hook_points])
            raise ModelError(
                f"{self.name} has no hook point {name!r}, and no submodule of this name. Names near to it: {known}."
            )
        if misnomer := self.hook_points[name].misnomer:
            raise ModelError(f"{name} of {self.name} is not what its name says: {misnomer}.")
        return self.hook_points[name]

    def width(self, hook_point: str) -> int:
        """Return the number of neurons at a hook point of the first layer."""
        return self.widths([hook_point])[hook_point]

    def widths(self, hook_points: Iterable[str], layers: Sequence[int] = (0,)) -> dict[str, int]:
        """Return the number of neurons at hook points, as the model computes them.

        Raises
        ------
        ModelError
            When a block does not have a hook point, when the hook point has no single vector per
            position, or when its width differs between the layers.
        """
        common_widths: dict[str, int] = {}
        for hook_point in hook_points:
            self.check_hook_point(hook_point, layers)
            widths = {layer: self.width_of(f"blocks.{layer}.{hook_point}") for layer in layers}
            if len(set(widths.values())) > 1:
                raise ModelError(
                    f"{hook_point} of {self.name} does not have the same width in all layers: {widths}. "
                    "Harvest layers of one width at a time with --layers."
                )
            common_widths[hook_point] = widths[layers[0]]
        return common_widths

    def width_of(self, name: str) -> int:
        """Return the number of neurons at a full hook name or a submodule; ModelError as from `widths`."""
        shape = self.point(name).shape
        if shape is None:
            raise ModelError(
                f"The width of {name} of {self.name} cannot be found without weights: {type(self.model).__name__} "
                "computes with the values of tensors. Run without --dry_run."
            )
        self._check_shape(name, shape, TRACE_SHAPE)
        return math.prod(shape[2:])

    def run(self, tokens: torch.Tensor, mask: torch.Tensor, hooks: dict[str, Hook]) -> None:
        """Run the model until the last of the named activations is computed, and call a hook on each.

        Where every activation is an input or output of a module of the Hugging Face model,
        that model runs with its own attention. Where one is not (attention patterns),
        TransformerLens' bridge runs on the same weights, and submodules cannot be hooked in the same pass.

        Parameters
        ----------
        tokens : (batch, length) int64
            Token ids, padded on either side.
        mask : (batch, length) int64
            1 where there is a token, 0 where there is padding.
        hooks : dict
            Full hook name, or name of a submodule (see `point`), to a function of the activation
            (batch, length, width); axes after the second are flattened into one.

        Raises
        ------
        ModelMemoryError
            When the batch does not fit into memory; a smaller batch may fit. No activation of
            the batch is kept.
        ModelError
            When a hook point does not exist, is not reached, or has no vector per position.
        """
        if not self.weight_hash:
            raise ModelError(f"{self.name} was loaded without weights and cannot run.")
        if not self._fits(tokens, mask, hooks):
            # Raised outside of `except`, so that no traceback holds the activations of this batch.
            raise ModelMemoryError(
                f"A batch of {len(tokens)} sequences of {self.name} does not fit into the memory of {self.device}. "
                "Lower --batch_size; finished parts are kept."
            )

    def _fits(self, tokens: torch.Tensor, mask: torch.Tensor, hooks: dict[str, Hook]) -> bool:
        """Run a batch; return False when memory runs out."""
        try:
            self._forward(tokens, mask, hooks)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            return False
        return True

    def _forward(self, tokens: torch.Tensor, mask: torch.Tensor, hooks: dict[str, Hook]) -> None:
        points = {name: self.point(name) for name in sorted(hooks)}
        once = OneShotHooks(hooks)
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        with (
            torch.inference_mode(),
            self._attached(once, points, tokens.shape) as body,
            contextlib.suppress(LastHookFired),
        ):
            options: dict[str, Any] = forward_options(self.model)
            if not bool(mask[:, 0].all()) and "position_ids" in inspect.signature(body.forward).parameters:
                # Padding on the left: positions count from the first token.
                options["position_ids"] = (mask.cumsum(-1) - 1 + position_offset(self.model)).clamp(min=0)
            body(input_ids=tokens, attention_mask=mask, **options)
        if once.pending:
            raise ModelError(f"A forward pass of {self.name} does not reach {', '.join(sorted(once.pending))}.")

    @contextlib.contextmanager
    def _attached(
        self, once: OneShotHooks, points: dict[str, HookPoint], shape: torch.Size
    ) -> Iterator[torch.nn.Module]:
        """Attach hooks to the model or to the bridge; yield the module to run, which has no unembedding."""
        under_bridge = [name for name, point in points.items() if point.site is None]
        if under_bridge:
            if submodules := points.keys() - self.hook_points.keys():
                raise ModelError(
                    f"{under_bridge[0]} of {self.name} exists only under TransformerLens' bridge, which replaces "
                    f"submodules such as {min(submodules)}. Read them in two passes."
                )
            taps = [(name, partial(self._tap_bridge, once, name, shape)) for name in once.hooks]
            with self._bridge.hooks(fwd_hooks=taps):
                yield cast(torch.nn.Module, self._bridge.original_model.base_model)
        else:
            with contextlib.ExitStack() as stack:
                for name, point in points.items():
                    stack.callback(self._tap_model(once, name, point, shape).remove)
                yield cast(torch.nn.Module, self.model.base_model)

    def _tap_model(
        self, once: OneShotHooks, name: str, point: HookPoint, shape: torch.Size
    ) -> torch.utils.hooks.RemovableHandle:
        self._check_shape(name, point.shape or (), TRACE_SHAPE)
        site = cast(Site, point.site)
        # Some modules take all tokens of a batch along one axis.
        return hook_site(self.model.get_submodule(site.module), site, lambda a: once.fire(name, a.reshape(*shape, -1)))

    def _tap_bridge(
        self,
        once: OneShotHooks,
        name: str,
        shape: torch.Size,
        activation: torch.Tensor,
        hook: object,  # noqa: ARG002
    ) -> None:
        self._check_shape(name, activation.shape, shape)
        once.fire(name, activation.flatten(2))

    @cached_property
    def _bridge(self) -> TransformerBridge:
        """The bridge over a copy of the modules that shares the weights; the model itself is not changed."""
        shared = {id(t): t for t in chain(self.model.parameters(), self.model.buffers())}
        return build_bridge(deepcopy(self.model, shared))

    def _check_shape(self, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if len(shape) < 3 or shape[:2] != expected:
            raise ModelError(
                f"{name} of {self.name} has shape {tuple(shape)} for {expected[0]} sequences of {expected[1]} tokens, "
                "not (batch, position, width); choose a hook point with one vector per position."
            )


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out: of a GPU, or (a plain RuntimeError) of the CPU or an Apple GPU."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "can't allocate memory" in text
        or "out of memory" in text
    )
