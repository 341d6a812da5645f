"""Stage 1: run a model over a feature data set and store the activations of every layer."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from experiments.activations.batches import Batch, part_batches
from experiments.activations.plan import STORED_DTYPES, StorePlan, choose_part_rows
from experiments.activations.pooling import pool
from experiments.activations.stores import ZarrStore
from experiments.activations.stores.disk import check_free_space, required_bytes
from experiments.config import HarvestConfig, settings_record
from experiments.models import LanguageModel, load_model
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.atomic_files import write_json
from probing_datasets.foundation.errors import ActivationError, CorruptStoreError, ModelError, StoreError
from probing_datasets.foundation.provenance import provenance
from probing_datasets.model_names import model_identity
from probing_datasets.probed_rows import ProbedRows, probed_rows
from probing_datasets.tokenization import tokenizer_hash

logger = logging.getLogger(__name__)

ALGORITHM_VERSION = 1
"""Raise when the same settings give other numbers: old stores are then not resumed."""

TORCH_DTYPES = {"16": torch.float16, "32": torch.float32, "bf16": torch.bfloat16}
PartBuffers = dict[tuple[str, int], np.ndarray]


@dataclass(frozen=True)
class Harvest:
    """A harvest that is ready to run."""

    config: HarvestConfig
    dataset: FeatureDataset
    model: LanguageModel
    rows: ProbedRows
    plan: StorePlan

    def summary(self) -> str:
        """Say what will be stored, and the space it needs and finds."""
        plan, path = self.plan, self.config.store_path
        width = ", ".join(f"{hook} {n:,}" for hook, n in plan.widths.items())
        free = shutil.disk_usage(next(p for p in [path, *path.parents] if p.exists())).free
        return (
            f"{plan.n_rows:,} rows, width {width}, {len(plan.layers)} layers, {plan.n_parts} parts: "
            f"{required_bytes(plan) / 1e9:.3f} GB needed, {free / 1e9:.1f} GB free, in {path}"
        )


def harvest(config: HarvestConfig) -> ZarrStore:
    """Run stage 1: make, or complete, the activation store of a configuration.

    Returns
    -------
    ZarrStore
        The complete store.

    Raises
    ------
    DatasetError, ModelError, StoreError, ActivationError
        When the data set, the model or the hook point does not exist or does not fit, when
        the disk is too full, or when an activation is NaN or overflows the precision.
        Finished parts are kept; the same call goes on from there.
    """
    job = prepare_harvest(config)
    logger.info(job.summary())
    return run_harvest(job)


def prepare_harvest(config: HarvestConfig) -> Harvest:
    """Load the data set and the model, check that they fit, and plan the store."""
    dataset = load_feature_dataset(config.feature_dataset, config.feature_dataset_dir)
    model = load_model(config.model, config.revision, config.random_init, config.seed, config.device, config.dtype)
    _check_fit(config, dataset, model)
    rows = probed_rows(dataset, config.activation_aggregation)
    return Harvest(config, dataset, model, rows, _plan(config, dataset, model, len(rows)))


def run_harvest(job: Harvest) -> ZarrStore:
    """Write every open part of the store; one part is written while the next is computed."""
    config = job.config
    if config.overwrite and config.store_path.exists() and not _stands(job):
        shutil.rmtree(config.store_path)
    if not config.store_path.exists():
        check_free_space(config.store_path, required_bytes(job.plan))
    store = ZarrStore.create(config.store_path, job.plan, job.rows.sequence, job.rows.position)
    _reopen_damaged_parts(store)
    if open_parts := store.open_parts():
        check_free_space(config.store_path, required_bytes(job.plan, len(open_parts)))
    record = config.store_path / "provenance.json"
    if not record.exists():
        write_json(record, {"config": settings_record(config), "versions": provenance()})
    _write_open_parts(job, store)
    return store


def _stands(job: Harvest) -> bool:
    """Whether a readable store of the same plan is there: it is resumed, not overwritten."""
    try:
        return ZarrStore.open(job.config.store_path).plan == job.plan
    except StoreError:
        return False


def _reopen_damaged_parts(store: ZarrStore) -> None:
    for damage in store.verify():
        if damage.part is None:
            raise CorruptStoreError(f"{damage.path}: {damage.reason}. Harvest anew with --overwrite.")
        logger.warning("part %d is written again: %s: %s", damage.part, damage.path, damage.reason)
        store.discard_part(damage.part)


def _write_open_parts(job: Harvest, store: ZarrStore) -> None:
    pending: Future[None] | None = None
    open_parts = store.open_parts()
    n_open = sum(stop - start for start, stop in map(job.plan.part_range, open_parts))
    bar = tqdm(total=job.plan.n_rows, initial=job.plan.n_rows - n_open, unit=" rows", desc="harvest", disable=None)
    with bar, ThreadPoolExecutor(1) as writer:
        for part in open_parts:
            buffers = compute_part(job, part, bar.update)
            if pending is not None:
                pending.result()
            pending = writer.submit(store.write_part, part, buffers)
        if pending is not None:
            pending.result()


def compute_part(job: Harvest, part: int, progress: Any = None) -> PartBuffers:
    """Return the activations of one part: (rows, width) in the stored dtype, by hook point and layer."""
    start, stop = job.plan.part_range(part)
    stored = STORED_DTYPES[job.plan.precision]
    buffers = {
        (hook, layer): np.empty((stop - start, job.plan.widths[hook]), dtype=stored)
        for hook in job.plan.hook_points
        for layer in job.plan.layers
    }
    for batch in part_batches(job.dataset, job.rows, start, stop, job.config.batch_size):
        hooks = {
            f"blocks.{layer}.{hook}": partial(_keep, job, batch, layer, buffers[hook, layer]) for hook, layer in buffers
        }
        job.model.run(batch.tokens, batch.mask, hooks)
        if progress:
            progress(len(batch.row))
    return buffers


def _keep(job: Harvest, batch: Batch, layer: int, buffer: np.ndarray, activation: torch.Tensor) -> None:
    """Select or pool the rows of a batch and put them where they belong in the part."""
    sequence = batch.sequence.to(activation.device)
    if job.config.activation_aggregation == "none":
        values = activation[sequence, batch.position.to(activation.device)]
    else:
        valid = batch.poolable.to(activation.device)
        values = pool(activation, valid, job.config.activation_aggregation)[sequence]
    buffer[batch.row] = _encode(values, layer, job)


def _encode(values: torch.Tensor, layer: int, job: Harvest) -> np.ndarray:
    stored = values.to(TORCH_DTYPES[job.plan.precision])
    # The extremes are finite only if all values are, and cost a tenth of asking every value.
    if not all(map(torch.isfinite, stored.aminmax())):
        _refuse_not_finite(values, layer, job)
    stored = stored.cpu()
    return (stored.view(torch.uint16) if stored.dtype == torch.bfloat16 else stored).numpy()


def _refuse_not_finite(values: torch.Tensor, layer: int, job: Harvest) -> None:
    where = f"layer {layer}, {job.config.probe_location} of {job.config.model}"
    if not torch.isfinite(values).all():
        raise ActivationError(
            f"{where}: {int((~torch.isfinite(values)).sum())} activations of a batch are NaN or infinite. "
            "The model itself computes them: run it in --dtype float32, or check its weights."
        )
    limit = torch.finfo(TORCH_DTYPES[job.plan.precision]).max
    raise ActivationError(
        f"{where}: {int((values.abs() > limit).sum())} activations of a batch exceed {limit:g}, the largest number of "
        f"--output_precision {job.plan.precision}. Use --output_precision bf16 or 32 with --overwrite."
    )


def _check_fit(config: HarvestConfig, dataset: FeatureDataset, model: LanguageModel) -> None:
    d = dataset.description
    if tokenizer_hash(model.tokenizer) != d.tokenizer_hash:
        raise ModelError(
            f"{d.name} was tokenized with {d.tokenizer!r}, whose tokenizer differs from that of {config.model!r}. "
            f"Make the data set again with --tokenizer {config.model}."
        )
    if int(dataset.lengths.max()) > model.context_length:
        raise ModelError(
            f"{d.name} has sequences of {int(dataset.lengths.max())} tokens, and {config.model!r} takes "
            f"{model.context_length}. Make the data set again with --context_length {model.context_length}."
        )


def _plan(config: HarvestConfig, dataset: FeatureDataset, model: LanguageModel, n_rows: int) -> StorePlan:
    layers = model.check_layers(config.layers)
    model.check_hook_point(config.probe_location)
    width = model.width(config.probe_location)
    row_bytes = len(layers) * width * (4 if config.output_precision == "32" else 2)
    fingerprint = {
        "algorithm_version": ALGORITHM_VERSION,
        "model": model_identity(config.model),
        "revision": config.revision,
        "random_init": config.seed if config.random_init else None,
        "weight_hash": model.weight_hash,
        "tokenizer_hash": dataset.description.tokenizer_hash,
        "dataset": dataset.name,
        "dataset_hash": dataset.description.content_hash,
        "activation_aggregation": config.activation_aggregation,
        "dtype": config.dtype,
        "device": config.device.split(":")[0],
    }
    return StorePlan(
        fingerprint=fingerprint,
        layers=layers,
        hook_points=(config.probe_location,),
        widths={config.probe_location: width},
        n_rows=n_rows,
        part_rows=choose_part_rows(n_rows, row_bytes),
        precision=config.output_precision,
    )
