"""Find where a model computes the hook points of TransformerLens, on a copy of the model without weights.

TransformerLens' bridge knows for every architecture what its hook points mean, but it
replaces modules of the model and computes attention eagerly. So the bridge is put once over a
twin of the model whose tensors have shapes and no numbers (PyTorch's fake tensors). A forward
pass of the twin records every tensor that a module takes or returns. Where the tensor at a hook
point is one of those, a hook on that module of the real model sees the same activation, and the
real model runs without a bridge.
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
"""Sequences and tokens of the traced pass: sizes that heads, groups and widths are unlikely to have."""

TRACE_DTYPE = torch.bfloat16
"""Half precision, so that an activation and its conversion to float32 are different tensors."""

TRACE_ERRORS = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError)
"""Raised by a forward pass that depends on the values of tensors."""

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
    """A hook point of TransformerLens: the shape of its activation, and where the model computes it."""

    shape: tuple[int, ...] | None
    """Shape of its activation for `TRACE_SHAPE` tokens; None where the bridge does not run without numbers."""
    site: Site | None
    """Where the Hugging Face model has the same activation; None when only the bridge computes it."""


class Sighting(NamedTuple):
    """A tensor seen in a forward pass."""

    order: int
    place: Site | str
    """The site, or the name of the hook point."""
    tensor: torch.Tensor
    version: int
    """Number of times that the tensor had been changed in place."""


def find_hook_points(config: PretrainedConfig) -> dict[str, HookPoint]:
    """Return all hook points that a forward pass reaches, by full name such as ``blocks.0.mlp.hook_post``.

    Raises
    ------
    ModelError
        When TransformerLens does not know the architecture.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(False):  # it counts no changes in place
        twin, bridged_twin = (random_model(deepcopy(config), 0, TRACE_DTYPE).eval() for _ in range(2))
        names: dict[torch.nn.Module, str] = {module: name for name, module in bridged_twin.named_modules()}
        bridge = build_bridge(bridged_twin)
        hooks = {name: hook for name, hook in bridge.hook_dict.items() if _is_enabled(bridge, name, hook)}
        # A component that the bridge put into the place of a module gets the name of that module.
        components = {m.original_component: m for m in bridge.modules() if hasattr(m, "original_component")}
        try:
            plain = _trace(twin, {module: name for name, module in twin.named_modules()}, {})
            bridged_names = {components.get(module, module): name for module, name in names.items()}
            bridged = _trace(bridged_twin, bridged_names, hooks)
        except TRACE_ERRORS as error:
            logger.warning("%s runs under TransformerLens' bridge, which is slower: %s", type(twin).__name__, error)
            return dict.fromkeys(hooks, HookPoint(None, None))
        sites = _shared_sites(plain, bridged)
        hook_points: dict[str, HookPoint] = {}
        for seen in bridged:
            if isinstance(seen.place, str):
                same_tensor = sites.get(_memory(seen), [])
                nearest = min(same_tensor, key=lambda s, order=seen.order: abs(s.order - order), default=None)
                site = nearest.place if nearest and isinstance(nearest.place, Site) else None
                hook_points[seen.place] = HookPoint(tuple(seen.tensor.shape), site)
        return hook_points


def _is_enabled(bridge: TransformerBridge, name: str, hook: LensHookPoint) -> bool:
    """Whether the bridge computes a hook point in its default settings, which do not split the input of the heads."""
    try:
        bridge.check_hooks_to_add(hook, name, print)
    except ValueError:
        return False
    return True


def build_bridge(model: PreTrainedModel) -> TransformerBridge:
    """Put TransformerLens' bridge over a model; this changes the model, and makes its attention eager."""
    try:
        model.set_attn_implementation("eager")
        architecture = determine_architecture_from_hf_config(model.config)
        return build_bridge_from_module(model, architecture, hf_config=model.config).eval()
    except BRIDGE_ERRORS as error:
        raise ModelError(f"TransformerLens cannot bridge a {type(model).__name__}: {error}") from error


def forward_options(model: PreTrainedModel) -> dict[str, bool]:
    """Return the options with which a causal model does not fill a cache of keys and values."""
    return {"use_cache": False} if hasattr(model.config, "use_cache") else {}


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
    """Record in ``seen`` every tensor that passes the modules and the hook points."""

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
    """Return, by their memory, the sites that both twins pass once and with the same shape."""
    expected, shared = _seen_once(plain), defaultdict(list)
    for site, seen in _seen_once(bridged).items():
        if site in expected and expected[site].tensor.shape == seen.tensor.shape:
            shared[_memory(seen)].append(seen)
    return shared


def _seen_once(run: list[Sighting]) -> dict[Site, Sighting]:
    count = Counter(s.place for s in run)
    return {s.place: s for s in run if isinstance(s.place, Site) and count[s.place] == 1}


def _memory(seen: Sighting) -> tuple[Any, ...]:
    """Return a key that contiguous tensors share when they are views of the same numbers, whatever their axes."""
    tensor = seen.tensor
    if not tensor.is_contiguous():
        return (id(tensor),)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel(), tensor.dtype, seen.version
