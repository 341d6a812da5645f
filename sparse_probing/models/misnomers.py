"""Find hook points whose activation is not what their name says, from a trace of a forward pass.

TransformerLens gives every block a hook point `mlp.hook_post`. Where the block is a mixture of experts, its neurons
are divided over experts, of which each token runs a few, and the name is given to the output of the MLP instead.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from transformers.pytorch_utils import Conv1D

from sparse_probing.models.tensor_trace import Sighting, memory

LINEAR_MAPS = (torch.nn.Linear, Conv1D)

NEURONS = ("mlp.hook_post", "mlp.hook_pre", "mlp.hook_pre_linear")
"""Names that promise one number for each neuron of the MLP."""
HEADS = "attn.hook_z"
"""The name that promises the output of every head, before the linear map that adds them to the residual stream."""

OF_A_BLOCK = (*NEURONS, HEADS, "hook_mlp_out", "hook_resid_pre")


def find_misnomers(seen: Sequence[Sighting], linear_maps: Mapping[str, torch.nn.Module]) -> dict[str, str]:
    """Return why a hook point does not hold what its name says, by full name of the hook point.

    The neurons of an MLP, `mlp.hook_post`, are the input of its last linear map, which maps them back to the
    width of the model. What becomes them, `mlp.hook_pre`, has the same width and is not the input of a linear map.
    The output of the heads, `attn.hook_z`, is the input of a linear map.

    Parameters
    ----------
    seen : sequence of Sighting
        The trace of a model under TransformerLens' bridge.
    linear_maps : dict
        The linear modules of the model, by name.
    """
    widths_after: dict[tuple, list[int]] = defaultdict(list)  # of the linear maps that take a tensor, by the tensor
    blocks: dict[str, dict[str, Sighting]] = defaultdict(dict)
    for each in seen:
        if isinstance(each.place, str):
            _, _, rest = each.place.partition("blocks.")
            block, _, name = rest.partition(".")
            if each.place.startswith("blocks.") and name in OF_A_BLOCK:
                blocks[block][name] = each
        elif each.place.side == "input" and each.place.key in (0, "input") and each.place.module in linear_maps:
            widths_after[memory(each)].append(_width_after(linear_maps[each.place.module]))

    misnomers: dict[str, str] = {}
    for block, points in blocks.items():
        after = {name: widths_after[memory(each)] for name, each in points.items()}
        stream = points.get("hook_resid_pre", points.get("hook_mlp_out"))
        model_width = None if stream is None else stream.tensor.shape[-1]
        if HEADS in points and not after[HEADS]:
            misnomers[f"blocks.{block}.{HEADS}"] = "it is not the input of the linear map after the heads"
        post = points.get("mlp.hook_post")
        if post is None:
            continue
        for name in set(NEURONS) & points.keys():
            if set(after["mlp.hook_post"]) != {model_width}:
                reason = _not_neurons(post, points.get("hook_mlp_out"))
            elif _width(points[name]) != _width(post):
                reason = f"its width is {_width(points[name])}, and that of mlp.hook_post is {_width(post)}"
            elif name != "mlp.hook_post" and after[name]:
                reason = "it is the input of a linear map, not of the activation function"
            else:
                continue
            misnomers[f"blocks.{block}.{name}"] = reason
    return misnomers


def _not_neurons(post: Sighting, mlp_out: Sighting | None) -> str:
    if mlp_out is not None and memory(post)[:3] == memory(mlp_out)[:3]:
        return (
            "`mlp.hook_post` is the output of the whole MLP there, equal to hook_mlp_out, as in a mixture of experts, "
            "whose neurons are divided over experts"
        )
    return f"`mlp.hook_post`, of width {_width(post)}, is not the input of the last linear map of the MLP there"


def _width(seen: Sighting) -> int:
    return math.prod(seen.tensor.shape[2:])


def _width_after(linear_map: torch.nn.Module) -> int:
    """Return the number of outputs of a linear map."""
    return linear_map.nf if isinstance(linear_map, Conv1D) else linear_map.out_features  # type: ignore[return-value]
