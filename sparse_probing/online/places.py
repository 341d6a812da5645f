"""Places: what probes are trained on. One is a hook point of one layer with one pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import OnlineConfig
from sparse_probing.config.activations import FULL_HOOK_NAME
from sparse_probing.config.online import PoolingName
from sparse_probing.models import LanguageModel

FLOAT16_BYTES = 2


@dataclass(frozen=True)
class Location:
    """Where the model computes an activation."""

    name: str
    """Full name, such as ``blocks.2.mlp.hook_post``."""
    hook_point: str
    """The same without the block, such as ``mlp.hook_post``."""
    layer: int
    width: int
    """Number of neurons."""


@dataclass(frozen=True)
class Place:
    """A location with a pooling: every label set gets a probe here."""

    location: Location
    pooling: PoolingName

    def __str__(self) -> str:
        """Return the full name and the pooling."""
        return f"{self.location.name}, {self.pooling}"


def find_locations(config: OnlineConfig, model: LanguageModel) -> list[Location]:
    """Return the locations that a configuration names, each once, by layer.

    A name inside a block, such as ``mlp.hook_post``, has a location in every layer of ``--layers``; a full name is one
    location.

    Raises
    ------
    ModelError
        When a layer or a hook point does not exist.
    SettingsError
        When ``--layers`` does not concern any of the names.
    """
    names = (config.activations.probe_location, *config.further_locations)
    found: dict[str, Location] = {}
    is_used = False
    for name in names:
        full_name = FULL_HOOK_NAME.fullmatch(name)
        is_used = is_used or full_name is None
        hook_point = full_name[2] if full_name else name
        layers = model.check_layers([int(full_name[1])] if full_name else config.layers)
        for layer in layers:
            width = model.widths([hook_point], [layer])[hook_point]
            full = f"blocks.{layer}.{hook_point}"
            found.setdefault(full, Location(full, hook_point, layer, width))
    if config.layers and not is_used:
        raise SettingsError(
            f"--layers {' '.join(map(str, config.layers))} has no effect: every location names its layer. Leave it out."
        )
    return sorted(found.values(), key=lambda location: location.layer)


def find_places(config: OnlineConfig, locations: Sequence[Location]) -> list[Place]:
    """Return every location with every pooling."""
    return [Place(location, pooling) for location in locations for pooling in config.pooling]


def bytes_of_rows(places: Sequence[Place], n_rows: Mapping[PoolingName, int]) -> int:
    """Return the memory that the rows of places take in float16."""
    return sum(n_rows[place.pooling] * place.location.width * FLOAT16_BYTES for place in places)
