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
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch._subclasses import FakeTensorMode
from transformer_lens.hook_points import HookPoint as LensHookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformers import PretrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from probing_datasets.foundation.errors import ModelError, first_line
from sparse_probing.models.hugging_face import random_model
from sparse_probing.models.misnomers import LINEAR_MAPS, find_misnomers
from sparse_probing.models.tensor_trace import Sighting, Site, memory, trace

logger = logging.getLogger(__name__)

TRACE_DTYPES = (torch.bfloat16, torch.float32)
"""Half precision first, so that an activation and its conversion to float32 are different tensors; some
architectures mix the two and run in float32 only."""


@dataclass(frozen=True)
class HookPoint:
    """A hook point of TransformerLens: the shape of its activation, and where the model computes it."""

    shape: tuple[int, ...] | None
    """Shape of its activation for `TRACE_SHAPE` tokens; None where the bridge does not run without numbers."""
    site: Site | None
    """Where the Hugging Face model has the same activation; None when only the bridge computes it."""
    misnomer: str = ""
    """Why the activation is not what the name of the hook point says; empty where it is."""


def find_hook_points(config: PretrainedConfig, trust_remote_code: bool = False) -> dict[str, HookPoint]:
    """Return all hook points that a forward pass reaches, by full name such as ``blocks.0.mlp.hook_post``.

    Parameters
    ----------
    config : PretrainedConfig
    trust_remote_code : bool
        Whether Python code in the folder of the model may be run.

    Raises
    ------
    ModelError
        When transformers or TransformerLens does not know the architecture.
    """
    for dtype in TRACE_DTYPES:
        try:
            with silent_fake_tensors():
                return _trace_twins(config, dtype, trust_remote_code)
        except ModelError:
            raise
        except Exception as error:  # of any kind, where a forward pass depends on the values of tensors
            reason = first_line(error)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(False), no_init_weights():
        bridge = build_bridge(random_model(deepcopy(config), 0, TRACE_DTYPES[0], trust_remote_code).eval())
    logger.warning("%s runs under TransformerLens' bridge, which is slower: %s", type(config).__name__, reason)
    return dict.fromkeys(_enabled_hooks(bridge), HookPoint(None, None))


@contextlib.contextmanager
def silent_fake_tensors() -> Iterator[None]:
    """Keep PyTorch from logging the traceback of every operation that needs the values of tensors."""
    fake_tensor_logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = fake_tensor_logger.level
    fake_tensor_logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        fake_tensor_logger.setLevel(level)


def _trace_twins(config: PretrainedConfig, dtype: torch.dtype, trust_remote_code: bool) -> dict[str, HookPoint]:
    """Run a twin of the model, and one under the bridge; return the hook points with their sites."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, torch.inference_mode(False), no_init_weights():  # inference mode counts no changes in place
        twin, bridged_twin = (random_model(deepcopy(config), 0, dtype, trust_remote_code).eval() for _ in range(2))
        plain = trace(twin, {module: name for name, module in twin.named_modules()}, {})
        hook_points, bridged = _trace_bridge(bridged_twin)
    sites = _shared_sites(plain, bridged)
    for seen in bridged:
        if isinstance(seen.place, str):
            same_tensor = sites.get(memory(seen), [])
            nearest = min(same_tensor, key=lambda s, order=seen.order: abs(s.order - order), default=None)
            site = nearest.place if nearest and isinstance(nearest.place, Site) else None
            hook_points[seen.place] = replace(hook_points[seen.place], site=site)
    return hook_points


def trace_hook_points(bridge: TransformerBridge) -> dict[str, HookPoint]:
    """Return the hook points of a bridge with weights, by one forward pass of a few tokens; none has a site.

    This is for architectures whose twin without numbers cannot run.
    """
    with torch.inference_mode(False):
        return _trace_bridge(cast(PreTrainedModel, bridge.original_model), bridge)[0]


def _trace_bridge(
    model: PreTrainedModel, bridge: TransformerBridge | None = None
) -> tuple[dict[str, HookPoint], list[Sighting]]:
    """Run a model under the bridge, which is put over it unless it is given; return its hook points and the trace."""
    names: dict[torch.nn.Module, str] = {module: name for name, module in model.named_modules()}
    bridge = build_bridge(model) if bridge is None else bridge
    # A component that the bridge put into the place of a module gets the name of that module.
    components = {m.original_component: m for m in bridge.modules() if hasattr(m, "original_component")}
    linear_maps = {names[module]: module for module in names if isinstance(module, LINEAR_MAPS)}
    names = {components.get(module, module): name for module, name in names.items()}
    seen = trace(model, names, _enabled_hooks(bridge))
    misnomers = find_misnomers(seen, linear_maps)
    hook_points = {
        each.place: HookPoint(tuple(each.tensor.shape), None, misnomers.get(each.place, ""))
        for each in seen
        if isinstance(each.place, str)
    }
    return hook_points, seen


def _enabled_hooks(bridge: TransformerBridge) -> dict[str, LensHookPoint]:
    return {name: hook for name, hook in bridge.hook_dict.items() if _is_enabled(bridge, name, hook)}


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
        config = deepcopy(model.config)
        config.architectures = config.architectures or [type(model).__name__]  # not yet saved
        architecture = determine_architecture_from_hf_config(config)
        return build_bridge_from_module(model, architecture, hf_config=model.config).eval()
    except Exception as error:  # of any kind: an adapter looks for the modules that it knows
        reason = first_line(error).partition(". Available architectures")[0].rstrip(".")
        raise ModelError(
            f"TransformerLens cannot bridge a {type(model).__name__}, so its hook points are unknown: "
            f"{reason}. Choose a model of an architecture that TransformerLens knows."
        ) from error


def _shared_sites(plain: list[Sighting], bridged: list[Sighting]) -> dict[Any, list[Sighting]]:
    """Return, by their memory, the sites that both twins pass once and with the same shape."""
    expected, shared = _seen_once(plain), defaultdict(list)
    for site, seen in _seen_once(bridged).items():
        if site in expected and expected[site].tensor.shape == seen.tensor.shape:
            shared[memory(seen)].append(seen)
    return shared


def _seen_once(run: list[Sighting]) -> dict[Site, Sighting]:
    count = Counter(s.place for s in run)
    return {s.place: s for s in run if isinstance(s.place, Site) and count[s.place] == 1}
