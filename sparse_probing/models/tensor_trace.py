"""Record every tensor that the modules and the hook points of a model see in one forward pass of a few tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from torch.overrides import TorchFunctionMode
from transformer_lens.hook_points import HookPoint as LensHookPoint
from transformers import PreTrainedModel

TRACE_SHAPE = (2, 11)
"""Sequences and tokens of the traced pass: sizes that heads, groups and widths are unlikely to have."""


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


class Sighting(NamedTuple):
    """A tensor seen in a forward pass."""

    order: int
    place: Site | str
    """The site, or the name of the hook point."""
    tensor: torch.Tensor
    version: int
    """Number of times that the tensor had been changed in place."""


def forward_options(model: PreTrainedModel) -> dict[str, bool]:
    """Return the options with which a causal model does not fill a cache of keys and values."""
    return {"use_cache": False} if hasattr(model.config, "use_cache") else {}


def trace(
    model: PreTrainedModel, names: dict[torch.nn.Module, str], hooks: Mapping[str, LensHookPoint]
) -> list[Sighting]:
    """Run a model; return the tensors at its modules and hook points in the order in which they appear."""
    seen: list[Sighting] = []
    tokens = torch.zeros(TRACE_SHAPE, dtype=torch.long, device=model.device)
    with _watched(names, hooks, seen), torch.no_grad(), _EqualWhenIdentical():
        model.base_model(input_ids=tokens, **forward_options(model))
    return seen


class _EqualWhenIdentical(TorchFunctionMode):
    """Let `torch.equal` compare tensors without numbers: nothing in a trace changes what passes a hook.

    The bridge asks at every router of a mixture of experts whether a hook has changed the weights of the experts.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, ARG002
        if func is torch.equal:
            return args[0] is args[1]
        return func(*args, **(kwargs or {}))


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


def memory(seen: Sighting) -> tuple[Any, ...]:
    """Return a key that contiguous tensors share when they are views of the same numbers, whatever their axes."""
    tensor = seen.tensor
    if not tensor.is_contiguous():
        return (id(tensor),)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel(), tensor.dtype, seen.version
