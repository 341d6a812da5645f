"""Launching a run: which tasks it runs, with which bytes, and how failures are reported."""

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import probing_experiment
from probing_datasets.foundation.errors import SettingsError, TaskError
from sparse_probing.activations import harvest as stage_one
from sparse_probing.config import ProbingConfig
from sparse_probing.runs.executors.this_process import ThisProcess
from sparse_probing.runs.launch import MOST_FAILURES, launch, raise_failures, run_probing
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import load_run
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.submissions import alive_lock, read_submissions
from sparse_probing.runs.tasks import entry_points as entry
from sparse_probing.runs.tasks.published_results import ROWS, read_record, task_folder
from tests.builders.planted_runs import planted_settings
from tests.builders.runs import (
    PLANTED_FLAGS,
    cut_short,
    let_slurm_forget_all_jobs,
    publish_times,
    record_jobs,
    row_bytes,
    run_script,
    write_log,
)


@pytest.fixture
def config(plant):
    return plant()


def test_debug_and_local_give_the_same_bytes(config, tmp_path):
    elsewhere = shutil.copytree(config.activations.results_dir, tmp_path / "copy")
    here = run_probing(config)
    workers = run_probing(config.with_flags(cluster="local", workers=2, results_dir=elsewhere))
    assert here.path != workers.path
    assert len(row_bytes(here)) == 4
    assert row_bytes(here) == row_bytes(workers)


def test_a_rerun_does_nothing(config, monkeypatch):
    before = publish_times(run_probing(config))
    monkeypatch.setattr(ThisProcess, "_run_tasks", None)
    assert publish_times(run_probing(config)) == before


def test_another_seed_gives_another_run_beside_the_first(config):
    first = run_probing(config)
    before = publish_times(first)
    second = run_probing(config.with_flags(seed=1))
    assert second.path != first.path
    assert publish_times(first) == before
    assert row_bytes(second) != row_bytes(first)


def test_only_a_damaged_result_is_computed_again(config):
    run = run_probing(config)
    expected, before = row_bytes(run), publish_times(run)
    key = list(run.tasks)[2]
    cut_short(task_folder(run.path, key) / ROWS, 7)
    run_probing(config)
    assert row_bytes(run) == expected
    assert {k for k, time in publish_times(run).items() if time != before[k]} == {key}


def test_features_that_cannot_be_split_are_named_and_the_others_kept(plant):
    one_class, one_group = np.full(80, 1.0), np.full(80, -1.0)
    one_group[4:6] = 1
    config = plant(one_class=one_class, one_group=one_group)
    with pytest.raises(TaskError, match="4 tasks or features failed; finished results are kept") as error:
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
    assert len(row_bytes(good)) == 4


def test_of_many_failures_the_error_has_the_first(plant):
    further = {f"one class {i:02d}": np.full(80, 1.0) for i in range(15)}
    config = plant(**further).with_flags(feature_subset=tuple(further), features_per_task=15)
    with pytest.raises(TaskError, match="30 tasks or features failed") as error:
        run_probing(config)
    lines = str(error.value).splitlines()
    assert len(lines) == 1 + MOST_FAILURES + 1
    assert lines[-1] == "and 10 more; `status --json` lists all of them"


def test_a_failed_feature_is_named_again_by_a_rerun(plant):
    config = plant(one_class=np.full(80, 1.0))
    for _ in range(2):
        with pytest.raises(TaskError, match="heuristic_sparsity_sweep, layer 1, feature one_class"):
            run_probing(config)


@pytest.mark.parametrize("cluster", ["debug", "local"])
def test_a_damaged_shard_is_named_and_the_other_layers_finish(config, cluster):
    shard = config.store_folder() / "mlp.hook_post" / "layer_00" / "c.1.0"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(TaskError, match="2 tasks or features failed") as error:
        run_probing(config.with_flags(cluster=cluster, workers=1))
    assert str(error.value).count(", layer 0): Layer 0, part 1: ") == 2
    (path,) = (config.activations.results_dir / "probing").rglob("run.json")
    run = create_run(config)
    assert path.parent == run.path
    done = [task.layer for key, task in run.tasks.items() if read_record(run.path, key, run.tasks[key])]
    assert done == [1, 1]


def fail_layer_zero(monkeypatch):
    """Let the tasks of layer 0 raise an unexpected error, until the patch is undone."""
    run_task = entry.run_task

    def broken(run_path, key):
        if load_run(Path(run_path)).tasks[key].layer == 0:
            raise ZeroDivisionError("by nought")
        return run_task(run_path, key)

    monkeypatch.setattr(entry, "run_task", broken)


def test_a_failed_task_runs_again_only_on_request(config, monkeypatch):
    fail_layer_zero(monkeypatch)
    with pytest.raises(
        TaskError, match=r"(?s)2 tasks or features failed.*--retry_failed.*ZeroDivisionError: by nought"
    ):
        run_probing(config)
    monkeypatch.undo()
    with pytest.raises(TaskError, match="2 tasks or features failed"):
        run_probing(config)
    run = run_probing(config.with_flags(retry_failed=True))
    assert run_status(run).all_done


def test_a_task_that_the_disk_stopped_runs_again_without_a_request(config, monkeypatch):
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
        status = launch(ProbingConfig.from_flags(**shared_settings(config)))
        assert status
        run = status.run
        done.append(set(run_status(run).keys("done")))
    assert [len(keys) for keys in done] == [2, 3, 4]
    assert list(run.tasks)[::3] == [key for key in run.tasks if key in done[0]]
    assert row_bytes(run) == row_bytes(expected)


def shared_settings(config):
    """Return the settings of a configuration without its share of an array, which then comes from the environment."""
    return {name: value for name, value in config.flags().items() if name not in ("rank", "world_size")}


def test_without_slurm_nothing_is_submitted(config, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="There is no sbatch here"):
        run_probing(config.with_flags(cluster="slurm"))
    assert run_status(create_run(config)).counts["todo"] == 4


def test_while_slurm_does_not_answer_nothing_runs_here_either(config, monkeypatch, tmp_path):
    run = create_run(config)
    record_jobs(run, "slurm", [list(run.tasks)])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TaskError, match=r"Slurm does not answer.*nothing was submitted.*delete .*/submissions"):
        run_probing(config)
    assert run_status(run).counts["unknown"] == 4


def test_a_task_that_died_is_named_with_the_end_of_its_log_and_runs_again(config, monkeypatch, tmp_path):
    let_slurm_forget_all_jobs(tmp_path / "bin", monkeypatch)
    run = create_run(config)
    first, *others = run.tasks
    submission = record_jobs(run, "slurm", [[first], others], "12", phase="intent")
    log = write_log(run, submission, "12_0", "ImportError: no such module\nsrun: error: n1: task 0: Exited\n")
    status = run_status(run)
    assert status.keys("died") == [first]
    with pytest.raises(TaskError) as error:
        raise_failures(status, list(run.tasks))
    assert f"task {first} (heuristic_sparsity_sweep, layer 0): died. Its job 12_0 ended before the task" in str(
        error.value
    )
    assert f"Log: {log} It ends with: ImportError: no such module. The same command runs it again." in str(error.value)
    assert "--retry_failed" not in str(error.value)
    assert run_status(run_probing(config)).all_done


def test_a_launch_warns_of_tasks_that_died_twice_in_a_row(config, caplog, monkeypatch, tmp_path):
    let_slurm_forget_all_jobs(tmp_path / "bin", monkeypatch)
    run = create_run(config)
    for job in ("12", "13"):
        submission = record_jobs(run, "slurm", [[key] for key in run.tasks], job)
        log = write_log(run, submission, f"{job}_0", f"ImportError of {job}\n")
    assert {task.n_deaths for task in run_status(run).tasks.values()} == {2}
    run_probing(config)
    assert "The jobs of 4 tasks died 2 times in a row before the tasks began" in caplog.text
    assert f"The log {log} ends with: ImportError of 13" in caplog.text


def test_a_launch_does_not_warn_of_tasks_that_died_once(config, caplog, monkeypatch, tmp_path):
    let_slurm_forget_all_jobs(tmp_path / "bin", monkeypatch)
    run = create_run(config)
    record_jobs(run, "slurm", [[key] for key in run.tasks], "12")
    run_probing(config)
    assert "in a row" not in caplog.text


def test_two_launchers_at_once_run_every_task_once(config):
    with ThreadPoolExecutor(2) as pool:
        one_worker = config.with_flags(cluster="local", workers=1)
        runs = list(pool.map(run_probing, [one_worker, one_worker]))
    assert run_status(runs[0]).all_done
    keys = [key for submission in read_submissions(runs[0].folder) for (key,) in submission.keys or []]
    assert sorted(keys) == sorted(runs[0].tasks)


def test_harvest_makes_the_store_first_and_only_once(tiny_harvest, monkeypatch):
    shared = dataclasses.asdict(tiny_harvest.activations)
    shared |= {"activation_aggregation": "mean", "feature_subset": ("German",), "layers": (1,), "max_k": 2}
    config = ProbingConfig.from_flags(**shared, cluster="debug", harvest=True, harvest_flags="--batch_size 8")
    run = run_probing(config)
    assert len(row_bytes(run)) == 1
    monkeypatch.setattr(stage_one, "harvest", None)
    assert run_probing(config.with_flags(layers=(0, 1))).input_digest == run.input_digest


def test_harvest_flags_whose_store_stage_two_would_not_read_are_refused(config):
    flags = config.with_flags(harvest=True, harvest_flags="--probe_location hook_resid_post")
    with pytest.raises(SettingsError, match="would make .*hook_resid_post.none, and stage 2 reads .*hook_post.none"):
        run_probing(flags)


def test_a_launch_says_whose_tasks_it_waits_for_when_others_run_all_of_them(config, monkeypatch):
    run, shown = create_run(config), []
    other = record_jobs(run, "debug", [[key] for key in run.tasks])
    with ExitStack() as alive:
        alive.enter_context(locked(alive_lock(run.folder, other)))

        def let_it_end(text):
            shown.append(text)
            alive.close()  # the other process is killed while this one waits

        status = launch(config, let_it_end)
    assert shown == [
        f"4 of 4 tasks are queued or running elsewhere (process {other.pid} on {other.host}). Waiting for them."
    ]
    with pytest.raises(TaskError, match="The same command runs it again"):
        raise_failures(status, list(run.tasks))


@pytest.mark.parametrize(("rank", "n_tasks"), [(0, 2), (1, 1)])
def test_a_share_of_an_array_says_what_it_did(plant, monkeypatch, capsys, rank, n_tasks):
    plant()
    capsys.readouterr()
    for name, value in {"TASK_ID": rank, "TASK_MIN": 0, "TASK_STEP": 1, "TASK_COUNT": 3}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_{name}", str(value))
    flags = [*PLANTED_FLAGS, "--max_k", "4", "--features_per_task", "1"]
    status, out, err = run_script(probing_experiment, flags, monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert out.startswith(
        f"share {rank + 1} of 3 (from SLURM_ARRAY_TASK_ID; --rank 0 --world_size 1 runs all tasks): {n_tasks} of "
        f"{n_tasks} tasks are done; {4 - n_tasks} tasks of other shares are not done. Run: "
    )
    assert len(out.splitlines()) == 1
    store = planted_settings().store_folder() / "mlp.hook_post"
    for shard in store.rglob("c.*"):
        cut_short(shard, 100)
    status, out, err = run_script(probing_experiment, [*flags, "--seed", "1"], monkeypatch, capsys)
    assert status == 1
    assert f"0 of {n_tasks} tasks are done" in out
    assert "tasks or features failed" in err


def test_the_last_share_also_prints_the_results(plant, monkeypatch, capsys):
    plant()
    flags = [*PLANTED_FLAGS, "--max_k", "4", "--features_per_task", "1", "--world_size", "2"]
    outputs = [run_script(probing_experiment, [*flags, "--rank", rank], monkeypatch, capsys)[1] for rank in (0, 1)]
    assert len(outputs[0].splitlines()) == 1
    assert outputs[1].startswith("share 2 of 2: 2 of 2 tasks are done; all tasks of other shares are done. Run: ")
    assert "strong" in outputs[1]
