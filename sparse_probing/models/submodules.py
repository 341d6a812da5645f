"""Find the activations at the submodules of a Hugging Face model, by a forward pass of a few tokens.

A submodule is named by its path in the model. ``transformer.h.5.mlp`` is its output, or the first element where the
output is a tuple; ``transformer.h.5.mlp.output`` is the same, and ``transformer.h.5.mlp.input`` its first input. This
needs no bridge: it works for architectures that TransformerLens does not know.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Container
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch._subclasses import FakeTensorMode
from transformers import PretrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from probing_datasets.foundation.errors import ModelError, first_line, list_known
from sparse_probing.models.hook_points import TRACE_DTYPES, HookPoint, silent_fake_tensors
from sparse_probing.models.hugging_face import random_model
from sparse_probing.models.tensor_trace import TRACE_SHAPE, Site, memory, trace

logger = logging.getLogger(__name__)

INPUT = ".input"
OUTPUT = ".output"


@dataclass(frozen=True)
class SubmoduleTensor:
    """The first tensor that a submodule takes or returns in a forward pass of `TRACE_SHAPE` tokens."""

    site: Site
    shape: tuple[int, ...]
    is_float: bool
    n_times: int
    """How often the submodule runs in one forward pass."""

    @property
    def vector_shape(self) -> tuple[int, ...] | None:
        """The shape as (batch, position, width, ...); None where there is not one vector for each position."""
        shape = self.shape
        if not self.is_float or self.n_times != 1:
            return None
        if shape[:2] == TRACE_SHAPE and len(shape) > 2:
            return shape
        # Routers of mixtures of experts take all tokens of a batch along one axis.
        return (*TRACE_SHAPE, shape[1]) if len(shape) == 2 and shape[0] == math.prod(TRACE_SHAPE) else None


@dataclass(frozen=True)
class SubmoduleTrace:
    """What the submodules of a model take and return."""

    tensors: dict[str, SubmoduleTensor]
    """By canonical name: a path, which means its output, or a path that ends in ``.input``."""
    names: dict[Site, str]
    """Of every tensor at a module, the place where it appears first: equal for two sites that hold the same tensor."""


def canonical_name(name: str, modules: Container[str]) -> str | None:
    """Return the one name of the input or output of a submodule; None when there is not such a submodule.

    Examples
    --------
    >>> canonical_name("h.5.mlp.output", ["h.5.mlp"]), canonical_name("h.5.mlp.input", ["h.5.mlp"])
    ('h.5.mlp', 'h.5.mlp.input')

    A submodule whose own name is ``output``:

    >>> canonical_name("layer.0.output", ["layer.0", "layer.0.output"])
    'layer.0.output'
    """
    if name in modules:
        return name or None
    path = name.removesuffix(OUTPUT).removesuffix(INPUT)
    if name not in (path + INPUT, path + OUTPUT) or not path or path not in modules:
        return None
    return path if name.endswith(OUTPUT) else name


def layer_of_path(path: str) -> int | None:
    """Return the first number in the path of a submodule: its layer; None where there is none.

    Examples
    --------
    >>> layer_of_path("model.layers.3.mlp.experts.0"), layer_of_path("transformer.wte")
    (3, None)
    """
    return next((int(part) for part in path.split(".") if part.isdecimal()), None)


def trace_twin(config: PretrainedConfig, trust_remote_code: bool) -> SubmoduleTrace | None:
    """Trace a model without numbers; None where its forward pass depends on the values of tensors."""
    reason = ""
    for dtype in TRACE_DTYPES:
        try:
            with (
                silent_fake_tensors(),
                FakeTensorMode(allow_non_fake_inputs=True),
                torch.inference_mode(False),
                no_init_weights(),
            ):
                return trace_submodules(random_model(deepcopy(config), 0, dtype, trust_remote_code).eval())
        except Exception as error:  # noqa: BLE001 (of any kind, where a forward pass depends on values)
            reason = first_line(error)
    logger.info("The submodules of %s cannot be traced without weights: %s", type(config).__name__, reason)
    return None


def trace_submodules(model: PreTrainedModel) -> SubmoduleTrace:
    """Run a model on a few tokens, and return what its submodules take and return."""
    seen = trace(model, {module: name for name, module in model.named_modules()}, {})
    n_times = Counter(each.place for each in seen)
    first_place: dict[tuple, str] = {}
    tensors: dict[str, SubmoduleTensor] = {}
    names: dict[Site, str] = {}
    for each in seen:
        site = each.place
        if not isinstance(site, Site):
            continue
        key = "" if site.key in (None, 0) else f"[{site.key!r}]"
        names[site] = first_place.setdefault(memory(each), f"{site.module}.{site.side}{key}")
        if site.side == "output" and site.key not in (None, 0):
            continue
        name = site.module + (INPUT if site.side == "input" else "")
        tensor = SubmoduleTensor(site, tuple(each.tensor.shape), each.tensor.is_floating_point(), n_times[site])
        if site.module:
            tensors.setdefault(name, tensor)
    return SubmoduleTrace(tensors, names)


def submodule_point(traced: SubmoduleTrace, name: str, model_name: str) -> HookPoint:
    """Return the activation at a submodule, by its canonical name, as a hook point with a site.

    Raises
    ------
    ModelError
        When the forward pass does not reach it, or does not compute one vector for each position there.
    """
    tensor = traced.tensors.get(name)
    if tensor is not None and tensor.vector_shape is not None:
        return HookPoint(tensor.vector_shape, tensor.site)
    path, side = (name.removesuffix(INPUT), "input") if name.endswith(INPUT) else (name, "output")
    if tensor is None and not any(other in traced.tensors for other in (path, path + INPUT)):
        reason = (
            f"A forward pass of {model_name} does not reach {path!r}: it ends before the unembedding, and runs a list "
            "of modules one by one"
        )
    elif tensor is None:
        reason = f"The {side} of {path!r} of {model_name} is not a tensor, nor a tuple that starts with one"
    elif tensor.n_times > 1:
        reason = f"{path!r} of {model_name} runs {tensor.n_times} times in a forward pass, so it has several {side}s"
    elif not tensor.is_float:
        reason = f"The {side} of {path!r} of {model_name} holds whole numbers, not activations"
    else:
        reason = (
            f"The {side} of {path!r} of {model_name} has shape {tensor.shape} for {TRACE_SHAPE[0]} sequences of "
            f"{TRACE_SHAPE[1]} tokens, not (batch, position, width)"
        )
    raise ModelError(f"{reason}. Choose another submodule, such as {list_known(name, vector_names(traced))}.")


def vector_names(traced: SubmoduleTrace) -> list[str]:
    """Return the names of all submodules whose output is one vector for each position."""
    return [name for name, t in traced.tensors.items() if not name.endswith(INPUT) and t.vector_shape is not None]
