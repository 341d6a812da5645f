"""Time of stage 2 when rows, neurons and features are doubled, and the memory of its tasks.

The first table has the CPU seconds of the sparsity sweep and of all neurons, ranking and metrics included,
for a base size and with its rows, its neurons or its features doubled once and twice. The second has the peak
memory of real tasks, in new processes, on synthetic stores: of a base size, of four times its rows and of four
times its neurons.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro
from threadpoolctl import threadpool_limits

from benchmarks._layers import fit_together, rows_in_all, synthetic_data
from benchmarks._memory import Resident, resident_memory
from benchmarks._report import Seconds, alternate, median_ratio, median_seconds, print_table
from benchmarks._synthetic import planted_layer
from probing_datasets.feature_dataset import (
    Description,
    FeatureDataset,
    FeatureKind,
    Probes,
    build_feature_dataset,
)
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.activations.stores.plan import StorePlan, choose_part_rows
from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks.run_task import run_task

MEASURED: tuple[StudyName, ...] = ("heuristic_sparsity_sweep", "all_neurons")
GROWTHS = (2, 4)
MODEL, DATASET = "planted", "planted.planted.1.-1"


@dataclass(frozen=True)
class Size:
    """Rows, neurons and features that are probed."""

    n_train: int
    """Training rows; test rows are added so that they are 30 % of all."""
    width: int
    """Neurons."""
    n_features: int

    def grown(self, dimension: str, growth: int) -> Size:
        """Return the size with one dimension multiplied."""
        return replace(self, **{dimension: getattr(self, dimension) * growth})


@dataclass(frozen=True)
class GrowthConfig:
    """Base sizes."""

    time: Size = Size(n_train=2500, width=512, n_features=4)
    memory: Size = Size(n_train=5000, width=2048, n_features=2)
    repeats: int = 3
    threads: int = 1
    """Threads of BLAS, OpenMP and PyTorch."""


def compare_time(config: GrowthConfig) -> list[dict[str, object]]:
    """Time both studies at every size alternately; return the rows of the table."""
    torch.set_num_threads(config.threads)
    base = config.time
    sizes = [base, *(base.grown(field.name, growth) for field in fields(base) for growth in GROWTHS)]
    turns = {}
    for size in sizes:
        features = synthetic_data(size.n_train, size.width, size.n_features)
        turns |= {_key(study, size): partial(fit_together, settings(study), features) for study in MEASURED}
    with threadpool_limits(config.threads):
        times = alternate(turns, config.repeats)
    return [_time_row(size, base, times) for size in sizes]


def compare_memory(config: GrowthConfig) -> list[dict[str, object]]:
    """Run a task of both studies on three stores, each in a new process; return the rows of the table."""
    base, growth = config.memory, GROWTHS[-1]
    sizes = (base, base.grown("n_train", growth), base.grown("width", growth))
    return [row for size in sizes for row in _memory_rows(size)]


def settings(study: StudyName, **others: object) -> ProbingConfig:
    """Return the settings of a study, with one task for all features."""
    defaults = ProbingConfig.from_flags(
        model=MODEL, feature_dataset=DATASET, save_features_together=True, regularization=1.0
    )
    return defaults.with_flags(experiment_type=(study,), **others)


def save_planted(config: ProbingConfig, size: Size) -> int:
    """Write a data set with planted features and the store of one layer; return the bytes of that layer."""
    layer, labels = planted_layer(rows_in_all(size.n_train), size.width, size.n_features)
    dataset = _one_token_sequences(labels)
    dataset.save(config.activations.feature_dataset_dir / dataset.name)
    hook, row = config.activations.probe_location, np.arange(len(layer))
    fingerprint = {"model": MODEL, "dataset_hash": dataset.description.content_hash}
    part_rows = choose_part_rows(len(layer), layer.nbytes // len(layer))
    plan = StorePlan(fingerprint, (0,), (hook,), {hook: size.width}, len(layer), part_rows, "16")
    store = ZarrStore.create(config.store_folder(), plan, row, np.zeros_like(row))
    for part in range(plan.n_parts):
        store.write_part(part, {(hook, 0): layer[slice(*plan.part_range(part))]})
    return layer.nbytes


def _one_token_sequences(labels: np.ndarray) -> FeatureDataset:
    """Return a data set of n sequences of one token, each one group, with labels (n_features, n)."""
    description = Description(
        name=DATASET,
        collection="planted",
        tokenizer="planted",
        tokenizer_hash="",
        context_length=1,
        n_prefix=0,
        n_suffix=0,
        seed=0,
        source={},
        options={},
    )
    sequence = np.arange(labels.shape[1])
    probes: dict[str, tuple[FeatureKind, Probes]] = {
        f"planted{i}": ("binary", Probes(sequence, np.zeros_like(sequence), y.astype(np.float64)))
        for i, y in enumerate(labels)
    }
    tokens = [np.zeros(1, np.int32)] * len(sequence)
    return build_feature_dataset(description, tokens, [f"row {i}" for i in sequence], probes)


def _memory_rows(size: Size) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        places = {"results_dir": Path(folder) / "results", "feature_dataset_dir": Path(folder) / "feature_datasets"}
        layer_bytes = save_planted(settings(MEASURED[0], **places), size)
        return [_memory_row(study, size, layer_bytes, _run_alone(settings(study, **places))) for study in MEASURED]


def _run_alone(config: ProbingConfig) -> Resident:
    run = create_run(config)
    (key,) = run.tasks
    return resident_memory(run_task, str(run.path), key)


def _key(study: StudyName, size: Size) -> str:
    return f"{study} {size}"


def _time_row(size: Size, base: Size, times: Mapping[str, list[Seconds]]) -> dict[str, object]:
    row: dict[str, object] = _size_columns(size)
    for study in MEASURED:
        taken = times[_key(study, size)]
        row[f"{study}, CPU s"] = f"{median_seconds(taken, 'cpu'):.3f}"
        row[f"{study} / base"] = f"{median_ratio(taken, times[_key(study, base)], 'cpu'):.2f}"
    return row


def _memory_row(study: StudyName, size: Size, layer_bytes: int, memory: Resident) -> dict[str, object]:
    return {
        "task": study,
        **_size_columns(size),
        "layer, MB": f"{layer_bytes / 1e6:.0f}",
        "after imports, MB": f"{memory.before / 1e6:.0f}",
        "peak, MB": f"{memory.peak / 1e6:.0f}",
        "increase, MB": f"{memory.increase / 1e6:.0f}",
        "increase - layer, MB": f"{(memory.increase - layer_bytes) / 1e6:.0f}",
    }


def _size_columns(size: Size) -> dict[str, object]:
    return {"training rows": f"{size.n_train:,}", "neurons": f"{size.width:,}", "features": size.n_features}


if __name__ == "__main__":
    config = tyro.cli(GrowthConfig, description=__doc__)
    print_table(compare_time(config))
    print()
    print_table(compare_memory(config))
