"""Which neurons were chosen: on the command line, or in a file of ranked neurons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from probing_datasets.foundation.errors import ModelError, SettingsError
from probing_datasets.model_names import model_slug
from sparse_probing.config import HarvestConfig
from sparse_probing.config.locations import dataset_name

SHOWN = 5


class Neuron(NamedTuple):
    """A neuron of a layer at some hook point."""

    layer: int
    index: int

    def __str__(self) -> str:
        return f"L{self.layer}.N{self.index}"


def chosen_neurons(config: HarvestConfig, hook_point: str) -> tuple[Neuron, ...]:
    """Return the neurons that a configuration chooses at a hook point, in order, each once.

    ``--layers``, where given, leaves out those of other layers.

    Raises
    ------
    SettingsError
        When none is chosen, one is not written as LAYER,NEURON, or the file has not the columns it needs.
    """
    neurons = {parse_neuron(text) for text in config.subset.neuron_subset}
    if config.subset.neuron_subset_file is not None:
        neurons |= set(_read_neurons(config, config.subset.neuron_subset_file, hook_point))
    kept = tuple(sorted(n for n in neurons if not config.layers or n.layer in config.layers))
    if not kept:
        raise SettingsError(
            f"No neuron of {hook_point} is chosen. Name some with --neuron_subset LAYER,NEURON ... or "
            "--neuron_subset_file; --layers and --auto_restrict_neuron_subset_file leave out those that do not match."
        )
    return kept


def parse_neuron(text: str) -> Neuron:
    """Return the neuron written as ``LAYER,NEURON``.

    Examples
    --------
    >>> parse_neuron("2,317")
    Neuron(layer=2, index=317)
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise SettingsError(f"--neuron_subset takes neurons as LAYER,NEURON, for example 2,317 3,15; not {text!r}.")
    return Neuron(int(parts[0]), int(parts[1]))


def check_neurons(neurons: Iterable[Neuron], model: str, n_layers: int, hook_point: str, width: int) -> None:
    """Raise ModelError, naming them, when a model lacks some of the neurons."""
    missing = [str(n) for n in neurons if n.layer >= n_layers or n.index >= width]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ModelError(
            f"{model} has no neuron {', '.join(missing[:SHOWN])}{more}: it has layers 0 to {n_layers - 1}, and "
            f"{hook_point} neurons 0 to {width - 1}."
        )


def _read_neurons(config: HarvestConfig, path: Path, hook_point: str) -> Iterable[Neuron]:
    restrict = config.subset.auto_restrict_neuron_subset_file
    table = _read_table(path, ["layer", "neuron", *(["model", "dataset", "hook_loc"] if restrict else [])])
    if restrict:
        model = table["model"].astype(str).map(model_slug) == model_slug(config.activations.model)
        table = table[
            model & (table["dataset"] == dataset_name(config.activations)) & (table["hook_loc"] == hook_point)
        ]
    numbers = table[["layer", "neuron"]].apply(pd.to_numeric, errors="coerce")
    wrong = table[numbers.isna().any(axis=1) | (numbers < 0).any(axis=1) | (numbers % 1 != 0).any(axis=1)]
    if len(wrong):
        raise SettingsError(f"{path}: row {int(wrong.index[0]) + 2} has no layer and neuron that are whole numbers.")
    return map(Neuron._make, numbers.astype(int).itertuples(index=False, name=None))


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # a malformed or empty file raises subclasses of ValueError
        raise SettingsError(f"--neuron_subset_file {path} cannot be read as CSV: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise SettingsError(f"--neuron_subset_file {path} lacks the columns {', '.join(missing)}; see SCHEMA.md.")
    return table
