"""The benchmark of the growth of stage 2 at a tiny size: sizes, planted stores, memory of a process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks._memory import resident_memory
from benchmarks.growth_of_probing import MEASURED, GrowthConfig, Size, compare_time, save_planted, settings
from sparse_probing.activations.stores import open_store
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks.published_results import ROWS, task_folder
from sparse_probing.runs.tasks.run_task import run_task
from sparse_probing.studies.base.result_rows import read_rows


def test_every_dimension_is_doubled_twice() -> None:
    rows = compare_time(GrowthConfig(time=Size(100, 8, 1), repeats=1))
    sizes = [(row["training rows"], row["neurons"], row["features"]) for row in rows]
    assert sizes[:3] == [("100", "8", 1), ("200", "8", 1), ("400", "8", 1)]
    assert sizes[3:] == [("100", "16", 1), ("100", "32", 1), ("100", "8", 2), ("100", "8", 4)]
    assert all(rows[0][f"{study} / base"] == "1.00" for study in MEASURED)
    assert all(float(str(row[f"{study}, CPU s"])) > 0 for row in rows for study in MEASURED)


def test_a_planted_store_is_probed_by_one_task(tmp_path: Path) -> None:
    config = settings("heuristic_sparsity_sweep", results_dir=tmp_path, feature_dataset_dir=tmp_path / "datasets")
    layer_bytes = save_planted(config, Size(n_train=350, width=8, n_features=2))
    layer = open_store(config.store_folder()).read(0, dtype=None)
    assert (layer.shape, layer.dtype, layer.nbytes) == ((500, 8), np.float16, layer_bytes)
    run = create_run(config)
    (key,) = run.tasks
    assert run_task(str(run.path), key).failed_features == {}
    rows = read_rows([task_folder(run.path, key) / ROWS])
    assert set(rows["feature"]) == {"planted0", "planted1"}
    assert set(rows["control"]) == {"", "shuffled_labels"}


@pytest.mark.slow
def test_memory_is_only_that_of_the_function() -> None:
    held_here = np.ones(10_000_000)
    large, small = resident_memory(np.ones, 25_000_000), resident_memory(np.ones, 1)
    assert large.increase == pytest.approx(200e6, rel=0.05)
    assert small.increase < 10e6 < held_here.nbytes
