"""Experiment type `full_activation_histogram`: statistics of every neuron over all tokens of a data set."""

from __future__ import annotations

import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.model_pass.forward_pass import torch_threads
from sparse_probing.activations.statistics.checkpoints import Share
from sparse_probing.activations.statistics.counting import count_open_blocks
from sparse_probing.activations.statistics.prepare import CHECKPOINTS, PreparedHistogram, prepare_histogram
from sparse_probing.activations.statistics.tables import write_classes, write_examples, write_layer
from sparse_probing.activations.statistics.token_classes import regression_features
from sparse_probing.activations.statistics.token_texts import TokenTexts
from sparse_probing.activations.tables.result_folder import (
    claim_folder,
    complete_folder,
    create_or_resume_folder,
    is_complete,
    recorded_files,
)
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

BYTES_PER_VALUE = 8


def full_activation_histogram(config: HarvestConfig) -> Path:
    """Count the activations of every neuron over all tokens of a data set, or resume counting.

    Parameters
    ----------
    config : HarvestConfig
        ``top_k``, ``n_bin``, ``hist_min``, ``hist_max`` and ``histogram_by_class`` decide what is stored. Without
        ``hist_min`` and ``hist_max`` the bins of every neuron reach around its activations on a sample of sequences.

    Returns
    -------
    Path
        Folder of ``config.activations.probe_location``; the folders of further locations are beside it. One
        parquet table per layer, with a row per neuron; one in ``examples/`` with a row per neuron, end (largest or
        smallest activations) and rank; and with ``histogram_by_class`` one in ``classes/`` with a row per feature,
        label and neuron. ``description.json``, written last, marks the folder as complete.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        When the data set, the model, a layer or a hook point does not exist, they do not fit, or there are
        checkpoints of another ``world_size``.
    StoreError
        When results with other settings exist in the folder.
    ActivationError
        When an activation is NaN or infinite.
    """
    prepared = prepare_histogram(config)
    logger.info(summary(prepared))
    run_histogram(prepared)
    return prepared.inputs.folder(config.activations.probe_location)


def summary(prepared: PreparedHistogram) -> str:
    """Return one line: what is counted, how much memory it takes, and the folder of the tables."""
    inputs, description = prepared.inputs, prepared.inputs.dataset.description
    n_neurons = len(inputs.layers) * sum(inputs.widths.values())
    settings = inputs.config.histogram
    values_per_neuron = (settings.n_bin + 2) * (1 + len(prepared.classes)) + 2 * settings.top_k
    memory = n_neurons * values_per_neuron * BYTES_PER_VALUE
    width = ", ".join(f"{hook_point} {n:,}" for hook_point, n in inputs.widths.items())
    classes = f"and {len(prepared.classes)} classes, " if prepared.classes else ""
    return (
        f"{description.n_sequences:,} sequences, {description.n_tokens:,} tokens, {classes}width {width}, "
        f"{len(inputs.layers)} layers: {memory / 1e9:.3f} GB of counts, "
        f"in {inputs.folder(inputs.config.activations.probe_location)}"
    )


def run_histogram(prepared: PreparedHistogram) -> bool:
    """Count the open blocks of this process; the process that finishes last writes the tables.

    Returns
    -------
    bool
        Whether the tables of all hook points are written.
    """
    inputs, storage, share = prepared.inputs, prepared.inputs.config.storage, prepared.inputs.config.share
    with ExitStack() as stack:
        for hook_point in inputs.widths:
            folder, plan = inputs.folder(hook_point), prepared.plan(hook_point)
            stack.enter_context(claim_folder(folder, plan, share))
            create_or_resume_folder(folder, plan, overwrite=storage.overwrite, resume=storage.resume)
        incomplete = [hook_point for hook_point in inputs.widths if not is_complete(inputs.folder(hook_point))]
        for hook_point in incomplete:
            prepared.check_world_size(hook_point)
        stack.enter_context(torch_threads(inputs.config.forward_pass.n_threads))
        count_open_blocks(prepared, incomplete, share.rank)
        written = [_publish(prepared, hook_point) for hook_point in incomplete]
    return all(written)


def _load_or_count(prepared: PreparedHistogram, hook_point: str, rank: int) -> Share:
    """Return what a process has counted; count it here where its checkpoint is damaged."""
    share = prepared.load(hook_point, rank)
    if share is None:
        count_open_blocks(prepared, [hook_point], rank)
        share = prepared.load(hook_point, rank)
    if share is None:
        raise CorruptStoreError(
            f"A checkpoint in {prepared.inputs.folder(hook_point)} was damaged twice. Check the disk, and run the same "
            "command again."
        )
    return share


def _publish(prepared: PreparedHistogram, hook_point: str) -> bool:
    """Write the tables once all processes have counted; return whether the tables are written."""
    inputs, folder = prepared.inputs, prepared.inputs.folder(hook_point)
    ranks = range(inputs.config.share.world_size)
    try:
        if not all(prepared.is_counted(hook_point, rank) for rank in ranks):
            return is_complete(folder)
        share = _load_or_count(prepared, hook_point, 0)
        for rank in ranks[1:]:
            share.merge(_load_or_count(prepared, hook_point, rank))
    except FileNotFoundError:  # another process has written the tables and removed the checkpoints
        return is_complete(folder)

    texts = TokenTexts(inputs.dataset, inputs.model.tokenizer)
    files = recorded_files(folder, prepared.plan(hook_point))
    tables: list[str] = []
    for layer, statistics in share.layers.items():
        tables += write_layer(files, layer, statistics)
        tables += write_examples(files, layer, statistics, texts)
        tables += write_classes(files, layer, statistics, prepared.classes)
    first_layer = next(iter(share.layers.values()))
    content = {
        "n_tokens": int(first_layer.all_tokens.n),
        "features_without_classes": regression_features(inputs.dataset),
    }
    complete_folder(folder, inputs.config.record(), tables, content)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return True
