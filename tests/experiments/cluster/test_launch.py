import dataclasses
import os
import shutil

import numpy as np
import pytest

from experiments.cluster import launch
from experiments.cluster.launch import run_probing
from experiments.cluster.publish import ROWS, read_record, task_folder
from probing_datasets.foundation.errors import TaskError


def rows_files(run):
    return {key: (task_folder(run.path, key) / ROWS).read_bytes() for key in run.tasks}


def times(run):
    return {key: task_folder(run.path, key).stat().st_mtime_ns for key in run.tasks}


@pytest.fixture
def config(plant):
    return plant()


def test_debug_and_local_give_the_same_bytes(config, tmp_path):
    elsewhere = shutil.copytree(config.results_dir, tmp_path / "copy")
    here = run_probing(config)
    workers = run_probing(dataclasses.replace(config, cluster="local", workers=2, results_dir=elsewhere))
    assert here.path != workers.path
    assert len(rows_files(here)) == 4
    assert rows_files(here) == rows_files(workers)


def test_a_rerun_does_nothing(config, monkeypatch):
    before = times(run_probing(config))
    monkeypatch.setitem(launch.LAUNCHERS, "debug", None)
    assert times(run_probing(config)) == before


def test_another_seed_is_another_run_beside_the_first(config):
    first = run_probing(config)
    before = times(first)
    second = run_probing(dataclasses.replace(config, seed=1))
    assert second.path != first.path
    assert times(first) == before
    assert rows_files(second) != rows_files(first)


def test_a_damaged_result_is_computed_again_alone(config):
    run = run_probing(config)
    expected, before = rows_files(run), times(run)
    key = list(run.tasks)[2]
    path = task_folder(run.path, key) / ROWS
    path.write_bytes(path.read_bytes()[:-7])
    run_probing(config)
    assert rows_files(run) == expected
    assert {k for k, time in times(run).items() if time != before[k]} == {key}


def test_features_that_cannot_be_split_are_named_and_the_others_kept(plant):
    one_class, one_group = np.full(80, 1.0), np.full(80, -1.0)
    one_group[4:6] = 1
    config = plant(one_class=one_class, one_group=one_group)
    with pytest.raises(TaskError, match="4 parts of the run failed; the others are kept") as error:
        run_probing(config)
    lines = str(error.value).splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [
        f"heuristic_sparsity_sweep, layer {layer}, feature {feature}"
        for layer in (0, 1)
        for feature in ("one_class", "one_group")
    ]
    assert "0 negative rows in 0 groups" in lines[0]
    assert "6 positive rows in 1 groups" in lines[1]
    good = run_probing(dataclasses.replace(config, feature_subset=("strong", "weak")))
    assert len(rows_files(good)) == 4


def test_a_failed_feature_is_named_again_by_a_rerun(plant):
    config = plant(one_class=np.full(80, 1.0))
    for _ in range(2):
        with pytest.raises(TaskError, match="heuristic_sparsity_sweep, layer 1, feature one_class"):
            run_probing(config)


@pytest.mark.parametrize("cluster", ["debug", "local"])
def test_a_damaged_shard_is_named_and_the_other_layers_finish(config, cluster):
    shard = config.store_path / "mlp.hook_post" / "layer_00" / "c.1.0"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(TaskError, match="2 parts of the run failed") as error:
        run_probing(dataclasses.replace(config, cluster=cluster, workers=1))
    assert str(error.value).count(", layer 0): Layer 0, part 1: ") == 2
    (path,) = (config.results_dir / "probing").rglob("run.json")
    run = launch.plan_run(config)
    assert path.parent == run.path
    done = [task.layer for key, task in run.tasks.items() if read_record(run.path, key)]
    assert done == [1, 1]


class Deadly:
    """Ends the process that unpickles it, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_worker_that_dies_is_reported(config, monkeypatch):
    monkeypatch.setattr(launch, "_run_in_worker", Deadly())
    with pytest.raises(TaskError, match=r"A worker process died.*fewer --workers"):
        run_probing(dataclasses.replace(config, cluster="local", workers=1))
    monkeypatch.undo()
    assert run_probing(config)
