"""Experiment types `activation_subset` and `neuron_subset`: chosen neurons at every token of a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from sparse_probing.activations.model_pass.forward_pass import torch_threads
from sparse_probing.activations.subset.derived_tables import tables_are_complete, write_derived_tables
from sparse_probing.activations.subset.prepare import PreparedSubset, prepare_subset
from sparse_probing.activations.subset.subset_parts import compute_part, part_file, write_part
from sparse_probing.activations.tables.result_folder import claim_folder, create_or_resume_folder
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)


def activation_subset(config: HarvestConfig) -> Path:
    """Write the activations of chosen neurons at every token, or resume writing.

    Parameters
    ----------
    config : HarvestConfig
        Of experiment type ``activation_subset``, which reads pre-activations (`mlp.hook_pre`), or ``neuron_subset``,
        which reads ``probe_location``. ``neuron_subset``, ``neuron_subset_file`` and ``positions`` decide what is
        stored; ``save_by_neuron`` and ``skip_computing_token_summary_df`` which further tables are made from it.

    Returns
    -------
    Path
        Folder of the hook point; the folders of further locations are beside it. It holds ``parts/`` (together one
        table, ``pandas.read_parquet(folder / "parts")``), ``token_summary.parquet``, ``by_neuron/`` and, written last,
        ``description.json``.

    Raises
    ------
    SettingsError, DatasetError, ModelError
        When a neuron, the data set, the model or a hook point does not exist, or they do not fit.
    StoreError
        When results with other settings exist in the folder.
    ActivationError
        When an activation is NaN or infinite.
    """
    prepared = prepare_subset(config)
    logger.info(summary(prepared))
    run_subset(prepared)
    return prepared.inputs.folder(prepared.inputs.config.activations.probe_location)


def summary(prepared: PreparedSubset) -> str:
    """Return one line: what is stored, and the folder."""
    neurons = ", ".join(f"{hook_point} {len(selected):,}" for hook_point, selected in prepared.neurons.items())
    folder = prepared.inputs.folder(prepared.inputs.config.activations.probe_location)
    return f"{len(prepared.rows):,} tokens, neurons {neurons}, {prepared.n_parts} parts, in {folder}"


def run_subset(prepared: PreparedSubset) -> bool:
    """Write the open parts of this process; the process that finishes last makes the further tables.

    Returns
    -------
    bool
        Whether the tables of all hook points are written.
    """
    inputs, config = prepared.inputs, prepared.inputs.config
    with ExitStack() as stack:
        for hook_point in prepared.neurons:
            folder, plan = inputs.folder(hook_point), prepared.plan(hook_point)
            stack.enter_context(claim_folder(folder, plan, config.share))
            create_or_resume_folder(folder, plan, overwrite=config.storage.overwrite, resume=config.storage.resume)
        stack.enter_context(torch_threads(config.forward_pass.n_threads))
        _write_open_parts(prepared, config.share.of(range(prepared.n_parts)))
        complete = True
        for hook_point, neurons in prepared.neurons.items():
            if prepared.open_parts(hook_point):
                complete = False
                continue
            files, parts = prepared.files(hook_point), range(prepared.n_parts)
            if not tables_are_complete(inputs, hook_point, neurons):
                # Nothing is made from a damaged part, and none is published: it is computed again.
                if files.remove_damaged(map(part_file, parts)):
                    _write_open_parts(prepared, parts)
                write_derived_tables(inputs, hook_point, files, prepared.n_parts, neurons)
    return complete


def _write_open_parts(prepared: PreparedSubset, parts: Sequence[int]) -> None:
    """Compute each open part among ``parts`` in one pass, for the hook points at which it is missing."""
    inputs = prepared.inputs
    open_parts = {hook_point: set(prepared.open_parts(hook_point)) for hook_point in prepared.neurons}
    missing = set().union(*open_parts.values())
    parts = [part for part in parts if part in missing]
    for part in tqdm(parts, unit=" parts", desc="subset", disable=None):
        start, stop = prepared.bounds[part : part + 2].tolist()
        neurons = {hook: selected for hook, selected in prepared.neurons.items() if part in open_parts[hook]}
        values = compute_part(inputs, prepared.rows, start, stop, neurons)
        token = prepared.tokens(start, stop)
        for hook_point, of_hook_point in values.items():
            write_part(prepared.files(hook_point), part, prepared.rows, start, stop, token, of_hook_point)
