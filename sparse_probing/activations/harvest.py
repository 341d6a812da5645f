"""Stage 1 in Python: run a model over a feature data set and store the activations of every layer."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from probing_datasets.feature_dataset import Aggregation, FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, SettingsError
from sparse_probing.activations.harvesting.compute_parts import PartBuffers, allocate_part, compute_parts
from sparse_probing.activations.harvesting.existing_stores import (
    claim_stores,
    create_or_resume_stores,
    open_parts_of_process,
)
from sparse_probing.activations.harvesting.part_writer import PartWriter
from sparse_probing.activations.harvesting.prepare import PreparedHarvest, prepare_harvest
from sparse_probing.activations.model_pass.forward_pass import torch_threads
from sparse_probing.activations.stores import ActivationStore
from sparse_probing.activations.stores.format.stored_arrays import array_keys
from sparse_probing.config import HarvestConfig
from sparse_probing.config.sections import FOLDERS
from sparse_probing.models import LanguageModel, LoadedModel, wrap_model

__all__ = ["PreparedHarvest", "harvest", "prepare_harvest", "run_harvest"]

logger = logging.getLogger(__name__)

WRITING_THREADS = 2
"""Laying out and checksumming takes about a second of one CPU for a gigabyte."""

SETTINGS_OF_LOADING = ("device", "device_map", "dtype", "quantization", "random_init", "trust_remote_code")
"""Settings that say how a model is loaded by its name."""


def harvest(
    dataset: HarvestConfig | FeatureDataset | str | Path,
    model: str | LoadedModel | None = None,
    *,
    aggregation: Aggregation | None = None,
    tokenizer: PreTrainedTokenizerFast | None = None,
    name: str | None = None,
    **settings: Any,
) -> ActivationStore:
    """Run stage 1: make the activation store of a data set and a model, or complete an existing one.

    Parameters
    ----------
    dataset : FeatureDataset or str or Path or HarvestConfig
        A feature data set, its name below FEATURE_DATASET_DIR, or its folder. A data set in memory is saved
        below FEATURE_DATASET_DIR first, unless it is there. A HarvestConfig holds all settings; it takes no
        further arguments.
    model : str or LanguageModel or transformers.PreTrainedModel or TransformerBridge, optional
        Name of a model (``demo`` by default), or a loaded model, whose device and precision are kept.
    aggregation : {'none', 'mean', 'max', 'last'}, optional
        One row per probed token (none, the default), or per sequence: short for ``activation_aggregation``.
    tokenizer : transformers.PreTrainedTokenizerFast, optional
        Tokenizer of a loaded model. Default: the one beside its ``name_or_path``.
    name : str, optional
        Name of a loaded model in the path of the store. Default: its ``name_or_path``. With the same name and
        weights the store is the one that the model loaded by name has.
    **settings
        Flags of get_activations.py by name: ``layers``, ``probe_location``, ``output_precision``, ``batch_size``,
        ...

    Returns
    -------
    ActivationStore
        The store of ``probe_location``. The stores of ``further_locations`` are beside it:
        ``open_store(config.store_folder("hook_resid_post"))``. With a ``world_size`` above 1, the
        parts that other processes have not written yet are missing.

    Raises
    ------
    SettingsError
        When a setting does not exist, is outside its range, or contradicts another one.
    DatasetError, ModelError, StoreError, ActivationError
        When the data set, the model or the hook point does not exist or does not fit, when the disk is too
        full, or when an activation is NaN or overflows the precision. Finished parts are kept; the same call
        resumes from there.

    Notes
    -----
    With ``experiment_type="all_activations"`` there is a row for every sequence and position, of
    zeros where there is padding, so that a layer can be read as (sequences, positions, width)::

        store = harvest(dataset, model="demo", experiment_type="all_activations")
        layer = store.layer(3).reshape(n_sequences, n_positions, -1)

    With ``flatten_and_ignore_padding`` there is a row for every token; ``store.rows`` holds its
    sequence and position.

    Examples
    --------
    ::

        store = harvest("natural_lang_id.demo.256.-1", model="demo", aggregation="mean")
        store = harvest(dataset, model=AutoModelForCausalLM.from_pretrained("gpt2"), layers=(3, 4))
    """
    loaded: LanguageModel | None = None
    if isinstance(dataset, HarvestConfig):
        if settings or (model, aggregation, tokenizer, name) != (None, None, None, None):
            raise SettingsError("A HarvestConfig holds all settings of a harvest. Change them with .with_flags(...).")
        config = dataset
    else:
        if aggregation is not None:
            if "activation_aggregation" in settings:
                raise SettingsError("aggregation is short for activation_aggregation. Pass one of them.")
            settings["activation_aggregation"] = aggregation
        if model is None or isinstance(model, str):
            if (tokenizer, name) != (None, None):
                raise SettingsError("tokenizer and name are for a loaded model; a model by name has its own.")
            config = HarvestConfig.from_flags(**settings_of_call(dataset, model, settings))
        else:
            loaded = wrap_model(model, tokenizer, name)
            config = HarvestConfig.from_flags(**settings_of_call(dataset, loaded, settings))
    if config.experiment_type not in ("activation_probe_dataset", "all_activations"):
        raise SettingsError(
            f"{config.experiment_type} makes tables, and harvest() makes activation stores. "
            "Use full_activation_histogram() or activation_subset(), or get_activations.py."
        )
    if isinstance(dataset, FeatureDataset):
        _save_once(dataset, config.activations.feature_dataset_dir)

    with evaluation_mode(loaded):
        prepared = prepare_harvest(config, model=loaded)
        logger.info(prepared.summary())
        return run_harvest(prepared)


def run_harvest(prepared: PreparedHarvest) -> ActivationStore:
    """Write the open parts of this process; parts are written while the next part is computed."""
    n_threads = prepared.config.forward_pass.n_threads
    with torch_threads(n_threads), claim_stores(prepared):
        stores = create_or_resume_stores(prepared)

        # Hook points whose stores have the same rows in a part are computed together, in one pass of the model,
        # at the parts that all of them are missing.
        hook_points_of_part: dict[tuple[int, int], tuple[str, ...]] = defaultdict(tuple)
        for hook_point, parts in open_parts_of_process(prepared, stores).items():
            for part in parts:
                hook_points_of_part[prepared.plans[hook_point].part_rows, part] += (hook_point,)
        passes: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for (_, part), hook_points in hook_points_of_part.items():
            passes[hook_points].append(part)

        spans = [prepared.plans[hooks[0]].part_range(part) for hooks, parts in passes.items() for part in parts]
        n_rows = sum(stop - start for start, stop in spans)
        with tqdm(total=n_rows, unit=" rows", desc="harvest", disable=None) as bar:
            for hook_points, parts in passes.items():
                _compute_and_write(prepared, [stores[hook_point] for hook_point in hook_points], parts, bar)
    return stores[prepared.config.activations.probe_location]


def _compute_and_write(prepared: PreparedHarvest, stores: list[ActivationStore], parts: list[int], bar: tqdm) -> None:
    """Compute parts of stores whose plans have the same parts; other threads write them."""
    hook_points = tuple(hook_point for store in stores for hook_point in store.plan.hook_points)

    def write(part: int, buffers: PartBuffers) -> None:
        for store in stores:
            start, stop = store.plan.part_range(part)
            store.write_part(part, {key: buffers[key][: stop - start] for key in array_keys(store.plan)})

    allocate = partial(allocate_part, prepared, hook_points)
    with PartWriter(allocate, write, min(WRITING_THREADS, prepared.config.forward_pass.n_threads)) as writer:

        def progress(n_rows: int) -> None:
            bar.update(n_rows)
            writer.check()

        for part, buffers in compute_parts(prepared, hook_points, parts, writer.buffers, progress):
            writer.submit(part, buffers)


def settings_of_call(
    dataset: FeatureDataset | str | Path, model: str | LanguageModel | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the flags of a pass over texts that is described by objects, names and settings."""
    if "feature_dataset" in settings:
        raise SettingsError("Pass the feature data set as the first argument, not as feature_dataset.")
    flags: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    flags |= {name: Path(flags[name]) for name in FOLDERS if name in flags}
    flags["feature_dataset"] = dataset.name if isinstance(dataset, FeatureDataset) else str(dataset)
    if isinstance(model, str):
        flags["model"] = model
    elif model is not None:
        unusable = [flag for flag in SETTINGS_OF_LOADING if flag in flags]
        if unusable:
            raise SettingsError(
                f"A loaded model cannot be changed by {', '.join(unusable)}. Load it with these settings, and pass it "
                "without them."
            )
        flags["model"], flags["device"] = model.name, str(model.device)
        flags["dtype"] = str(model.model.dtype).removeprefix("torch.")
        for quantization in ("8bit", "4bit"):
            if getattr(model.model, f"is_loaded_in_{quantization}", False):
                flags["quantization"] = quantization
    return flags


def _save_once(dataset: FeatureDataset, folder: Path) -> None:
    """Save a data set below a folder, unless it is there; DatasetError when another one has its name."""
    path = folder / dataset.name
    if (path / "description.json").is_file():
        if load_feature_dataset(dataset.name, folder).description.content_hash == dataset.description.content_hash:
            return
        raise DatasetError(
            f"{path} holds a data set with the same name and other content, and stores may have been made from it. "
            f"Rename one of them, delete {path}, or pass another feature_dataset_dir."
        )
    dataset.save(path)


@contextmanager
def evaluation_mode(model: LanguageModel | None) -> Iterator[None]:
    """Run a loaded model, if any, without dropout; afterwards each of its modules is in the mode that it was in."""
    if model is None:
        yield
        return
    modes = [(module, module.training) for module in model.model.modules()]
    model.model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
