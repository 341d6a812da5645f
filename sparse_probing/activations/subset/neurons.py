"""Select neurons: from the command line, or from a file of ranked neurons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import ModelError, SettingsError
from probing_datasets.foundation.files.regular_files import open_regular_file
from probing_datasets.foundation.spreadsheet_cells import cell_text
from probing_datasets.model_names import model_slug
from sparse_probing.config import ActivationsConfig, NeuronSubsetConfig
from sparse_probing.config.result_folders import dataset_name, model_name

SHOWN = 5
SHOWN_CHARACTERS = 60
LONGEST_NUMBER = 20
LARGEST_NUMBER = 2**31 - 1
PRE_ACTIVATIONS = "mlp.hook_pre"
NEURONS_OF_MLP = (PRE_ACTIVATIONS, "mlp.hook_post")
"""The same neurons before and after the activation function."""


class Neuron(NamedTuple):
    """A neuron of a layer at some hook point."""

    layer: int
    index: int

    def __str__(self) -> str:
        return f"L{self.layer}.N{self.index}"


def select_neurons(
    subset: NeuronSubsetConfig,
    activations: ActivationsConfig,
    layers: Sequence[int],
    hook_point: str,
    *,
    as_paper: bool = False,
) -> tuple[Neuron, ...]:
    """Return the neurons that the settings select at a hook point, in order, each once.

    Parameters
    ----------
    subset : NeuronSubsetConfig
        Neurons by layer and number, or a file of ranked neurons.
    activations : ActivationsConfig
        Model and data set, to which the rows of the file may be restricted.
    layers : sequence of int
        The layers of the neurons; none given: all.
    hook_point : str
    as_paper : bool
        Restrict a file as the paper's code does: to the collection. Where the file names models and hook points, rows
        of other models and of other places than the neurons of the MLP are left out all the same.

    Raises
    ------
    SettingsError
        When no neuron is selected, a neuron is not written as LAYER,NEURON, or the file cannot be read or does
        not have the columns that are needed.
    """
    neurons = {parse_neuron(text) for text in subset.neuron_subset}
    if subset.neuron_subset_file is not None:
        path = subset.neuron_subset_file
        # A name that is not a file here is one in the folder of the model, as `export` and the paper's code name it.
        published = read_settings().interpretable_neurons_dir
        of_model = [published / name / path for name in (model_name(activations), model_slug(activations.model))]
        path = next((each for each in (path, *of_model) if each.exists()), path)
        restriction = activations if subset.auto_restrict_neuron_subset_file else None
        neurons |= set(_read_neurons(path, restriction, hook_point, as_paper))
    selected = tuple(sorted(n for n in neurons if not layers or n.layer in layers))
    if not selected:
        raise SettingsError(
            f"No neuron of {hook_point} is selected. Name neurons with --neuron_subset LAYER,NEURON ... or "
            "--neuron_subset_file; --layers and --auto_restrict_neuron_subset_file remove neurons that do not match."
        )
    return selected


def parse_neuron(text: str) -> Neuron:
    """Return the neuron written as ``LAYER,NEURON``.

    Examples
    --------
    >>> parse_neuron("2,317")
    Neuron(layer=2, index=317)
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) <= LONGEST_NUMBER for part in parts):
        shown = repr(text[:SHOWN_CHARACTERS])
        raise SettingsError(f"--neuron_subset takes neurons as LAYER,NEURON, for example 2,317 3,15; not {shown}.")
    return Neuron(int(parts[0]), int(parts[1]))


def check_neurons(neurons: Iterable[Neuron], model: str, n_layers: int, hook_point: str, width: int) -> None:
    """Raise ModelError that names the neurons that a model does not have, if there are any."""
    missing = [str(n) for n in neurons if not (0 <= n.layer < n_layers and 0 <= n.index < width)]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ModelError(
            f"{model} has no neuron {', '.join(missing[:SHOWN])}{more}: it has layers 0 to {n_layers - 1}, and "
            f"{hook_point} neurons 0 to {width - 1}."
        )


def _read_neurons(
    path: Path, restriction: ActivationsConfig | None, hook_point: str, as_paper: bool
) -> Iterable[Neuron]:
    """Return the neurons of a file; with a restriction, of the rows with its model and data set and the hook point."""
    restricted = ["dataset"] if as_paper else ["model", "dataset", "hook_loc"]
    columns = ["layer", "neuron", *(restricted if restriction else [])]
    try:
        open_regular_file(path).close()  # pandas would wait for a pipe, and fill the memory from a device
        table = pd.read_csv(path)
        if "hook_loc" not in table.columns:
            table = table.rename(columns={"loc": "hook_loc"})  # the name in the tables of the paper
    except (OSError, ValueError) as error:  # a malformed or empty file raises subclasses of ValueError
        raise SettingsError(
            f"--neuron_subset_file {path} cannot be read as CSV: {error}. Pass a file with columns layer and neuron."
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise SettingsError(f"--neuron_subset_file {path} has no columns {', '.join(missing)}; see SCHEMA.md.")
    if restriction:
        dataset, name = table["dataset"].astype(str).map(cell_text), dataset_name(restriction)
        if as_paper:
            dataset, name = dataset.str.partition(".")[0], name.partition(".")[0]
        matches = dataset == name
        if "model" in table.columns:
            matches &= table["model"].astype(str).map(cell_text).map(model_slug) == model_slug(restriction.model)
        if "hook_loc" in table.columns:
            matches &= table["hook_loc"].isin(NEURONS_OF_MLP if as_paper else (hook_point,))
        # Tables of this project also name the revision, and whether the weights were random.
        if "revision" in table.columns:
            matches &= table["revision"].astype("string").fillna("") == (restriction.revision or "")
        if "random_init" in table.columns:
            matches &= table["random_init"].astype(str) == str(restriction.random_init)
        table = table[matches]
    numbers = table[["layer", "neuron"]].apply(pd.to_numeric, errors="coerce")
    # Beyond the limit, the conversion to integers would give other numbers, negative ones among them.
    is_number = numbers.notna() & (numbers >= 0) & (numbers <= LARGEST_NUMBER) & (numbers % 1 == 0)
    invalid = table[~is_number.all(axis=1)]
    if len(invalid):
        raise SettingsError(
            f"{path}: layer and neuron of row {int(invalid.index[0]) + 2} are not whole numbers from 0 to "
            f"{LARGEST_NUMBER}."
        )
    return map(Neuron._make, numbers.astype(int).itertuples(index=False, name=None))
