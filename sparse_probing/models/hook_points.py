"""Where a model computes what TransformerLens calls a hook point: found on a twin without weights.

TransformerLens' bridge knows for every architecture what its hook points mean, but it
replaces modules of the model and computes attention eagerly. So it is asked once, about a
twin of the model whose tensors have shapes and no numbers (PyTorch's fake tensors). In a
forward pass of the twin every tensor that a module takes or returns is noted. The tensor at
a hook point is one of those, or it is not; where it is, a hook on that module of the real
model sees the same activation, and the model runs as it is.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from torch._subclasses import FakeTensorMode
from transformer_lens.hook_points import HookPoint as LensHookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformers import PretrainedConfig, PreTrainedModel

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models.hugging_face import random_model

logger = logging.getLogger(__name__)

TRACE_SHAPE = (2, 11)
"""Sequences and tokens of the traced pass: numbers that heads, groups and widths are unlikely to share."""

TRACE_DTYPE = torch.bfloat16
"""Half precision, so that an activation that is only rounded on the way is not taken for the same."""

TRACE_ERRORS = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError)
"""What a forward pass raises where it depends on numbers that are not there."""

BRIDGE_ERRORS = (ValueError, KeyError, AttributeError, NotImplementedError)


@dataclass(frozen=True)
class Site:
    """A tensor that a module of the Hugging Face model takes or returns."""

    module: str
    """Name of the module in the model."""
    side: Literal["input", "output"]
    key: int | str | None
    """Position or name of the argument; position in an output that is a tuple, None when it is the tensor."""

    def pick(self, values: Any, keywords: Mapping[str, Any]) -> torch.Tensor:
        """Return the tensor from the arguments, or from the output, of the module."""
        if isinstance(self.key, str):
            return keywords[self.key]
        return values if self.key is None else values[self.key]


@dataclass(frozen=True)
class HookPoint:
    """What is known of a hook point of TransformerLens."""

    shape: tuple[int, ...] | None
    """Of its activation for `TRACE_SHAPE` tokens; None where the bridge does not run without numbers."""
    site: Site | None
    """Where the Hugging Face model has the same activation; None when only the bridge computes it."""


class Sighting(NamedTuple):
    """A tensor seen in a forward pass."""

    order: int
    place: Site | str
    """The site, or the name of the hook point."""
    tensor: torch.Tensor
    version: int
    """How often the tensor had been changed in place."""


def find_hook_points(config: PretrainedConfig) -> dict[str, HookPoint]:
    """Return all hook points that a forward pass reaches, by full name such as ``blocks.0.mlp.hook_post``.

    Raises
    ------
    ModelError
        When TransformerLens does not know the architecture.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(False):  # which would not count changes
        twin, bridged_twin = (random_model(deepcopy(config), 0, TRACE_DTYPE).eval() for _ in range(2))
        names: dict[torch.nn.Module, str] = {module: name for name, module in bridged_twin.named_modules()}
        bridge = build_bridge(bridged_twin)
        hooks = {name: hook for name, hook in bridge.hook_dict.items() if _is_enabled(bridge, name, hook)}
        try:
            plain = _trace(twin, {module: name for name, module in twin.named_modules()}, {})
            bridged = _trace(bridged_twin, _names_under_bridge(bridge, names), hooks)
        except TRACE_ERRORS as error:
            logger.warning("%s runs under TransformerLens' bridge, which is slower: %s", type(twin).__name__, error)
            return dict.fromkeys(hooks, HookPoint(None, None))
        shared = _shared_sites(plain, bridged)
        return {s.place: _hook_point(s, shared) for s in bridged if isinstance(s.place, str)}


def _is_enabled(bridge: TransformerBridge, name: str, hook: LensHookPoint) -> bool:
    """Whether the bridge computes a hook point without being told to split the input of the heads."""
    try:
        bridge.check_hooks_to_add(hook, name, print)
    except ValueError:
        return False
    return True


def build_bridge(model: PreTrainedModel) -> TransformerBridge:
    """Put TransformerLens' bridge over a model, which it changes; attention becomes eager, so that patterns exist."""
    try:
        model.set_attn_implementation("eager")
        architecture = determine_architecture_from_hf_config(model.config)
        return build_bridge_from_module(model, architecture, hf_config=model.config).eval()
    except BRIDGE_ERRORS as error:
        raise ModelError(f"TransformerLens cannot bridge a {type(model).__name__}: {error}") from error


def forward_options(model: PreTrainedModel) -> dict[str, bool]:
    """Keep a causal model from filling a cache of keys and values that nobody reads."""
    return {"use_cache": False} if hasattr(model.config, "use_cache") else {}


def _names_under_bridge(bridge: TransformerBridge, names: dict[torch.nn.Module, str]) -> dict[torch.nn.Module, str]:
    """Give the name of a module to the component that the bridge put into its place."""
    components = {m.original_component: m for m in bridge.modules() if hasattr(m, "original_component")}
    return {components.get(module, module): name for module, name in names.items()}


def _trace(
    twin: PreTrainedModel, names: dict[torch.nn.Module, str], hooks: Mapping[str, LensHookPoint]
) -> list[Sighting]:
    """Run the twin; return the tensors at its modules and hook points in the order in which they appear."""
    seen: list[Sighting] = []
    tokens = torch.zeros(TRACE_SHAPE, dtype=torch.long)
    with _watched(names, hooks, seen), torch.no_grad():
        twin.base_model(input_ids=tokens, **forward_options(twin))
    return seen


@contextlib.contextmanager
def _watched(
    names: dict[torch.nn.Module, str], hooks: Mapping[str, LensHookPoint], seen: list[Sighting]
) -> Iterator[None]:
    """Note in ``seen`` what passes the modules and the hook points."""

    def note(place: Site | str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            seen.append(Sighting(len(seen), place, value, value._version))

    def note_all(name: str, side: Literal["input", "output"], items: Iterable[tuple[Any, Any]]) -> None:
        for key, value in items:
            note(Site(name, side, key), value)

    def before(name: str, _module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        note_all(name, "input", [*enumerate(inputs), *keywords.items()])

    def after(name: str, _module: Any, _inputs: Any, output: Any) -> None:
        note_all(name, "output", enumerate(output) if isinstance(output, tuple) else [(None, output)])

    with contextlib.ExitStack() as stack:
        for module, name in names.items():
            stack.callback(module.register_forward_pre_hook(partial(before, name), with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(partial(after, name)).remove)
        for name, hook in hooks.items():
            hook.add_hook(cast(Any, lambda value, hook, name=name: note(name, value)))  # noqa: ARG005 (passed by name)
            stack.callback(hook.remove_hooks)
        yield


def _shared_sites(plain: list[Sighting], bridged: list[Sighting]) -> dict[Any, list[Sighting]]:
    """Index, by their memory, the sites that both twins pass once and with the same shape."""
    expected, shared = _seen_once(plain), defaultdict(list)
    for site, seen in _seen_once(bridged).items():
        if site in expected and expected[site].tensor.shape == seen.tensor.shape:
            shared[_memory(seen)].append(seen)
    return shared


def _seen_once(run: list[Sighting]) -> dict[Site, Sighting]:
    count = Counter(s.place for s in run)
    return {s.place: s for s in run if isinstance(s.place, Site) and count[s.place] == 1}


def _hook_point(seen: Sighting, shared: dict[Any, list[Sighting]]) -> HookPoint:
    nearest = min(shared.get(_memory(seen), []), key=lambda s: abs(s.order - seen.order), default=None)
    site = nearest.place if nearest and isinstance(nearest.place, Site) else None
    return HookPoint(tuple(seen.tensor.shape), site)


def _memory(seen: Sighting) -> tuple[Any, ...]:
    """Return what tensors share that hold the same numbers, one behind the other, whatever their axes."""
    tensor = seen.tensor
    if not tensor.is_contiguous():
        return (id(tensor),)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel(), tensor.dtype, seen.version
