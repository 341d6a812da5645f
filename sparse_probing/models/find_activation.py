"""Find activations with a vector for each position, by the name of a hook point or submodule."""

from __future__ import annotations

from dataclasses import dataclass

from probing_datasets.foundation.errors import ModelError
from sparse_probing.models.hook_points import HookPoint
from sparse_probing.models.language_model import LanguageModel
from sparse_probing.models.submodules import canonical_name, layer_of_path


@dataclass(frozen=True)
class Activation:
    """A hook point or a submodule of a model, and which other names mean the same tensor."""

    name: str
    """What `LanguageModel.run` takes: a full hook name such as ``blocks.5.hook_mlp_out``, or a submodule."""
    hook_point: str
    """The hook point in its block, such as ``hook_mlp_out``; of a submodule its whole name."""
    layer: int | None
    """The block, or the first number in the path of a submodule; None where there is none, as for embeddings."""
    width: int
    """Number of neurons."""
    tensor: str
    """Where the model computes the tensor first. Two names mean the same activation where this is equal."""
    hook_points: tuple[str, ...]
    """Full names of all hook points that hold this tensor; none where TransformerLens has none."""


def find_activation(model: LanguageModel, name: str) -> Activation:
    """Return the checked activation of a full hook name, or of a submodule of the Hugging Face model.

    Parameters
    ----------
    model : LanguageModel
        With or without weights.
    name : str
        A full hook name such as ``blocks.5.hook_mlp_out``, or a submodule such as ``transformer.h.5.mlp``, which
        means its output (``transformer.h.5.mlp.output`` too), or ``transformer.h.5.mlp.input``.

    Raises
    ------
    ModelError
        When it does not exist, is not reached by a forward pass, is not what its name says, or does not have one
        vector for each position.
    """
    site = model.point(name).site
    try:
        hook_points = model.hook_points
    except ModelError:  # TransformerLens does not know the architecture; submodules need no bridge
        hook_points = dict[str, HookPoint]()
    names = model.submodules.names if site else {}
    tensor = names[site] if site else name
    same_tensor = tuple(full for full, point in hook_points.items() if point.site and names.get(point.site) == tensor)
    submodule = canonical_name(name, model.module_names)
    if submodule is not None:
        hook_point, layer = submodule, layer_of_path(submodule)
    elif name.startswith("blocks."):
        _, block, hook_point = name.split(".", 2)
        layer = int(block)
    else:
        hook_point, layer = name, None
    same_tensor = same_tensor if site else (name,)
    return Activation(submodule or name, hook_point, layer, model.width_of(name), tensor, same_tensor)
