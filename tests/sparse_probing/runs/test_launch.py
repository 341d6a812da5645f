import dataclasses
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.foundation.errors import SettingsError, TaskError
from sparse_probing.config import ProbingConfig
from sparse_probing.runs import local_workers as local
from sparse_probing.runs.launch import launch, run_probing
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run import load_run
from sparse_probing.runs.slurm import harvest_for_probing as stage_one
from sparse_probing.runs.slurm.submissions import new_submission, read_submissions, record_submission
from sparse_probing.runs.status.status import run_status
from sparse_probing.runs.tasks import attempt_task as entry
from sparse_probing.runs.tasks.results import ROWS, read_record, task_folder


def rows_files(run):
    return {key: (task_folder(run.path, key) / ROWS).read_bytes() for key in run.tasks}


def times(run):
    return {key: task_folder(run.path, key).stat().st_mtime_ns for key in run.tasks}


@pytest.fixture
def config(plant):
    return plant()


def test_debug_and_local_give_the_same_bytes(config, tmp_path):
    elsewhere = shutil.copytree(config.activations.results_dir, tmp_path / "copy")
    here = run_probing(config)
    workers = run_probing(config.with_flags(cluster="local", workers=2, results_dir=elsewhere))
    assert here.path != workers.path
    assert len(rows_files(here)) == 4
    assert rows_files(here) == rows_files(workers)


def test_a_rerun_does_nothing(config, monkeypatch):
    before = times(run_probing(config))
    monkeypatch.setitem(local.RUNNERS, "debug", None)
    assert times(run_probing(config)) == before


def test_another_seed_is_another_run_beside_the_first(config):
    first = run_probing(config)
    before = times(first)
    second = run_probing(config.with_flags(seed=1))
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
    good = run_probing(config.with_flags(feature_subset=("strong", "weak")))
    assert len(rows_files(good)) == 4


def test_a_failed_feature_is_named_again_by_a_rerun(plant):
    config = plant(one_class=np.full(80, 1.0))
    for _ in range(2):
        with pytest.raises(TaskError, match="heuristic_sparsity_sweep, layer 1, feature one_class"):
            run_probing(config)


@pytest.mark.parametrize("cluster", ["debug", "local"])
def test_a_damaged_shard_is_named_and_the_other_layers_finish(config, cluster):
    shard = config.store_folder() / "mlp.hook_post" / "layer_00" / "c.1.0"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(TaskError, match="2 parts of the run failed") as error:
        run_probing(config.with_flags(cluster=cluster, workers=1))
    assert str(error.value).count(", layer 0): Layer 0, part 1: ") == 2
    (path,) = (config.activations.results_dir / "probing").rglob("run.json")
    run = create_run(config)
    assert path.parent == run.path
    done = [task.layer for key, task in run.tasks.items() if read_record(run.path, key)]
    assert done == [1, 1]


class Deadly:
    """Ends the process that unpickles it, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_worker_that_dies_is_reported(config, monkeypatch):
    monkeypatch.setattr(local, "_attempt_in_worker", Deadly())
    with pytest.raises(TaskError, match=r"A worker process died.*fewer --workers"):
        run_probing(config.with_flags(cluster="local", workers=1))
    monkeypatch.undo()
    assert run_probing(config)


def fail_once(monkeypatch, layer=0):
    """Let the tasks of a layer raise an error that nobody foresaw, until the patch is undone."""
    do = entry.run_task

    def broken(run_path, key):
        if load_run(Path(run_path)).tasks[key].layer == layer:
            raise ZeroDivisionError("by nought")
        return do(run_path, key)

    monkeypatch.setattr(entry, "run_task", broken)


def test_a_task_that_fails_is_done_again_only_when_asked(config, monkeypatch):
    fail_once(monkeypatch)
    with pytest.raises(TaskError, match=r"(?s)2 parts of the run failed.*--retry_failed.*ZeroDivisionError: by nought"):
        run_probing(config)
    monkeypatch.undo()
    with pytest.raises(TaskError, match="2 parts of the run failed"):
        run_probing(config)
    run = run_probing(config.with_flags(retry_failed=True))
    assert run_status(run).all_done


def test_a_task_that_the_disk_stopped_is_done_again_unasked(config, monkeypatch):
    def full(run_path, key):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(entry, "run_task", full)
    with pytest.raises(OSError, match="No space left"):
        run_probing(config)
    monkeypatch.undo()
    assert run_status(create_run(config)).counts["lost"] == 1
    assert run_status(run_probing(config)).all_done


def test_an_interrupted_task_leaves_no_attempt(config, monkeypatch):
    def interrupt(run_path, key):
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "run_task", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_probing(config)
    assert run_status(create_run(config)).counts["todo"] == 4


@pytest.mark.parametrize("first", [0, 1])
def test_the_entries_of_an_array_share_the_tasks(config, monkeypatch, first, tmp_path):
    elsewhere = shutil.copytree(config.activations.results_dir, tmp_path / "copy")
    expected = run_probing(config.with_flags(results_dir=elsewhere))
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", str(first))
    done = []
    for number in range(3):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(first + number))
        run = launch(ProbingConfig.from_flags(**shared_settings(config))).run
        assert run
        done.append(set(run_status(run).keys("done")))
    assert [len(keys) for keys in done] == [2, 3, 4]
    assert list(run.tasks)[::3] == [key for key in run.tasks if key in done[0]]
    assert rows_files(run) == rows_files(expected)


def shared_settings(config):
    """Return the settings of a configuration without its share of an array, which then comes from the environment."""
    return {name: value for name, value in config.flags().items() if name not in ("rank", "world_size")}


def test_without_slurm_nothing_is_submitted(config, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="There is no sbatch here"):
        run_probing(config.with_flags(cluster="slurm"))
    assert run_status(create_run(config)).counts["todo"] == 4


def test_while_slurm_does_not_answer_nothing_is_done_here_either(config, monkeypatch, tmp_path):
    run = create_run(config)
    record_submission(run.folder, new_submission("probe", "slurm", 1, [list(run.tasks)]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TaskError, match=r"Slurm does not answer.*nothing was submitted.*delete .*/submissions"):
        run_probing(config)
    assert run_status(run).counts["unknown"] == 4


def test_two_launchers_at_once_do_every_task_once(config):
    with ThreadPoolExecutor(2) as pool:
        local = config.with_flags(cluster="local", workers=1)
        runs = list(pool.map(run_probing, [local, local]))
    assert run_status(runs[0]).all_done
    records = [read_submissions(runs[0].folder)]
    keys = [key for record in records[0] for (key,) in record.keys or []]
    assert sorted(keys) == sorted(runs[0].tasks)


def test_harvest_makes_the_store_first_and_only_once(tiny_harvest, monkeypatch):
    shared = dataclasses.asdict(tiny_harvest.activations)
    shared |= {"activation_aggregation": "mean", "feature_subset": ("German",), "layers": (1,), "max_k": 2}
    config = ProbingConfig.from_flags(**shared, cluster="debug", harvest=True, harvest_flags="--batch_size 8")
    run = run_probing(config)
    assert len(rows_files(run)) == 1
    monkeypatch.setattr(stage_one, "harvest", None)
    assert run_probing(config.with_flags(layers=(0, 1))).input_digest == run.input_digest


def test_flags_of_stage_one_that_stage_two_would_not_find_are_refused(config):
    asked = config.with_flags(harvest=True, harvest_flags="--probe_location hook_resid_post")
    with pytest.raises(SettingsError, match="would make .*hook_resid_post.none, and stage 2 reads .*hook_post.none"):
        run_probing(asked)
