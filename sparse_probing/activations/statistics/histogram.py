"""Experiment type `full_activation_histogram`: statistics of every neuron over all tokens of a data set."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from sparse_probing.activations.statistics.checkpoints import Share
from sparse_probing.activations.statistics.counting import count_open_blocks
from sparse_probing.activations.statistics.job import CHECKPOINTS, HistogramJob
from sparse_probing.activations.statistics.tables import write_classes, write_layer
from sparse_probing.activations.statistics.token_classes import regression_features
from sparse_probing.activations.statistics.token_texts import TokenTexts
from sparse_probing.activations.tables.result_folder import begin_folder, finish_folder, is_finished
from sparse_probing.activations.tables.subject import load_subject, torch_threads
from sparse_probing.config import HarvestConfig

logger = logging.getLogger(__name__)

BYTES_PER_VALUE = 8


def full_activation_histogram(config: HarvestConfig) -> Path:
    """Count, or go on counting, the activations of every neuron over all tokens of a data set.

    Parameters
    ----------
    config : HarvestConfig
        ``top_k``, ``n_bin``, ``hist_min``, ``hist_max`` and ``histogram_by_class`` decide what is kept.

    Returns
    -------
    Path
        Folder of ``config.activations.probe_location``, those of further locations are beside it. One parquet
        table per layer, with a row per neuron, and with ``histogram_by_class`` one in ``classes/`` with a
        row per feature, label and neuron. ``description.json``, written last, says that it is complete.

    Raises
    ------
    DatasetError, ModelError, SettingsError
        When data set, model, layer or hook point do not exist or do not fit, or checkpoints of another
        ``world_size`` stand there.
    StoreError
        When results of other settings stand there.
    ActivationError
        When an activation is NaN or infinite.
    """
    job = prepare_histogram(config)
    logger.info(summary(job))
    run_histogram(job)
    return job.subject.folder(config.activations.probe_location)


def prepare_histogram(config: HarvestConfig) -> HistogramJob:
    """Load the data set and the model, and plan."""
    return HistogramJob.of(load_subject(config))


def summary(job: HistogramJob) -> str:
    """Say what is counted, how much memory it takes, and where it goes."""
    subject, description = job.subject, job.subject.dataset.description
    columns = len(subject.layers) * sum(subject.widths.values())
    memory = columns * (job.bins.n_codes * (1 + len(job.classes)) + subject.config.histogram.top_k) * BYTES_PER_VALUE
    width = ", ".join(f"{hook_point} {n:,}" for hook_point, n in subject.widths.items())
    classes = f"and {len(job.classes)} classes, " if job.classes else ""
    return (
        f"{description.n_sequences:,} sequences, {description.n_tokens:,} tokens, {classes}width {width}, "
        f"{len(subject.layers)} layers: {memory / 1e9:.3f} GB of counts, "
        f"in {subject.folder(subject.config.activations.probe_location)}"
    )


def run_histogram(job: HistogramJob) -> bool:
    """Count the open blocks of this process; the process that ends last writes the tables.

    Returns
    -------
    bool
        Whether the tables of all hook points are there.
    """
    subject = job.subject
    for hook_point in subject.widths:
        folder, plan = subject.folder(hook_point), job.plan(hook_point)
        begin_folder(folder, plan, overwrite=subject.config.storage.overwrite, resume=subject.config.storage.resume)
    unfinished = [hook_point for hook_point in subject.widths if not is_finished(subject.folder(hook_point))]
    for hook_point in unfinished:
        job.check_world_size(hook_point)
    with torch_threads(subject.config.forward_pass.n_threads):
        count_open_blocks(job, unfinished)
        return all([_publish(job, hook_point) for hook_point in unfinished])


def _publish(job: HistogramJob, hook_point: str) -> bool:
    """Write the tables once all processes have counted; return whether they are there."""
    folder = job.subject.folder(hook_point)
    try:
        if not all(job.is_counted(hook_point, rank) for rank in range(job.subject.config.share.world_size)):
            return is_finished(folder)
        share = _merged(job, hook_point)
    except FileNotFoundError:  # another process was faster: it has removed the checkpoints
        return is_finished(folder)
    _write(job, hook_point, share)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return True


def _merged(job: HistogramJob, hook_point: str) -> Share:
    share = job.load(hook_point, 0)
    for rank in range(1, job.subject.config.share.world_size):
        share.merge(job.load(hook_point, rank))
    return share


def _write(job: HistogramJob, hook_point: str, share: Share) -> None:
    subject, folder = job.subject, job.subject.folder(hook_point)
    texts = TokenTexts(subject.dataset, subject.model.tokenizer)
    tables: list[str] = []
    for layer, statistics in share.layers.items():
        tables += write_layer(folder, layer, statistics, texts)
        tables += write_classes(folder, layer, statistics, job.classes)
    some_layer = next(iter(share.layers.values()))
    content = {
        "edges": job.bins.edges.tolist(),
        "n_tokens": int(some_layer.all_tokens.n),
        "features_without_classes": regression_features(subject.dataset),
    }
    finish_folder(folder, subject.config, tables, content)
