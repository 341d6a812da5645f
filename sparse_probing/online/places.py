"""Places: what probes are trained on. One is a hook point of one layer, or a submodule, with one pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probing_datasets.feature_dataset import Aggregation
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import OnlineConfig
from sparse_probing.config.activations import FULL_HOOK_NAME
from sparse_probing.config.online import PoolingName
from sparse_probing.models import LanguageModel, find_activation

FLOAT16_BYTES = 2
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def row_aggregation(pooling: PoolingName) -> Aggregation:
    """Return how the rows of a pooling are chosen from a data set: attention has one for each sequence, as the mean."""
    return "mean" if pooling == "attention" else pooling


@dataclass(frozen=True)
class Location:
    """Where the model computes an activation."""

    name: str
    """Full name, such as ``blocks.2.mlp.hook_post``, or that of a submodule, such as ``transformer.h.2.mlp``."""
    hook_point: str
    """The hook point in its block that holds the same activation, such as ``mlp.hook_post``; of a submodule without one
    its whole name."""
    layer: int
    """The block; 0 for submodules outside of blocks."""
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
    """Return the locations that a configuration names, by layer; of several names of one activation, the first.

    A name inside a block, such as ``mlp.hook_post``, has a location in every layer of ``--layers``; a full name and a
    submodule are one location.

    Raises
    ------
    ModelError
        When a layer, a hook point or a submodule does not exist, or has no vector for each position.
    SettingsError
        When ``--layers`` does not concern any of the names.
    """
    requested = (config.activations.probe_location, *config.further_locations)
    names: list[str] = []
    for name in requested:
        # Hook points inside a block have "hook_" in their names; another name is a submodule, or a mistyped one.
        if FULL_HOOK_NAME.fullmatch(name) or model.is_submodule(name) or "hook_" not in name:
            names.append(name)
        else:
            layers = model.check_layers(config.layers)
            model.check_hook_point(name, layers)
            names += [f"blocks.{layer}.{name}" for layer in layers]
    if config.layers and set(names) == set(requested):
        raise SettingsError(
            f"--layers {' '.join(map(str, config.layers))} has no effect: every location names its layer. Leave it out."
        )
    locations: dict[str, Location] = {}
    for name in names:
        found = find_activation(model, name)
        hook_point, layer = found.hook_point, found.layer
        if not name.startswith("blocks.") and (same := next(map(FULL_HOOK_NAME.fullmatch, found.hook_points), None)):
            hook_point, layer = same[2], int(same[1])
        locations.setdefault(found.tensor, Location(name, hook_point, layer or 0, found.width))
    return sorted(locations.values(), key=lambda location: location.layer)


def find_places(config: OnlineConfig, locations: Sequence[Location]) -> list[Place]:
    """Return every location with every pooling."""
    return [Place(location, pooling) for location in locations for pooling in config.pooling]


def bytes_of_rows(places: Sequence[Place], n_rows: Mapping[PoolingName, int]) -> int:
    """Return the memory that the rows of places take in float16."""
    return sum(n_rows[place.pooling] * place.location.width * FLOAT16_BYTES for place in places)


def size_in_words(n_bytes: float) -> str:
    """Return a size of memory for a person.

    Examples
    --------
    >>> size_in_words(1.5e9), size_in_words(20e6), size_in_words(30)
    ('1.5 GB', '20 MB', '0.03 KB')
    """
    size, unit = next((size, unit) for size, unit in SIZES if n_bytes >= size or unit == "KB")
    return f"{n_bytes / size:,.3g} {unit}"
