"""The script of stage 2 as a person runs it, and all three commands together."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import get_activations
import probing_experiment
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.config import ProbingConfig
from sparse_probing.neurons import export
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks import entry_points
from sparse_probing.runs.tasks.published_results import ROWS, read_record, task_folder
from sparse_probing.runs.tasks.run_task import run_task
from sparse_probing.studies.base.result_rows import METRICS
from tests.builders.runs import PLANTED_FLAGS, flip_byte, noise_labels, publish_result, row_bytes, run_script

SCRIPT = Path(probing_experiment.__file__)
PLANTED = [*PLANTED_FLAGS, "--max_k", "4"]


@pytest.fixture
def script(monkeypatch, capsys):
    """A function that runs a script in this process and returns exit status, output and errors."""
    return lambda module, *arguments: run_script(module, arguments, monkeypatch, capsys)


def test_a_run_prints_its_best_neurons_and_names_its_files(script, plant):
    plant()
    status, out, err = script(probing_experiment, *PLANTED, "--experiment_type", "heuristic_sparsity_sweep")
    assert (status, err) == (0, "")
    assert "L1.5" in out
    written = [Path(line.removeprefix("wrote ")) for line in out.splitlines() if line.startswith("wrote ")]
    assert [path.name for path in written] == ["ranked_neurons.csv", "f1_over_k.png"]
    assert all(path.is_file() for path in written)


def test_a_result_that_changed_on_the_disk_is_found_and_made_again_before_the_report(script, plant):
    """Its size and time of change are those of the intact file, and `status` has seen it intact."""
    run = create_run(plant().with_flags(max_k=4, features_per_task=10, n_neurons=30))
    assert script(probing_experiment, *PLANTED)[0] == 0
    assert script(probing_experiment, "status", "--run", run.path)[0] == 0
    before, table = row_bytes(run), (run.path / "ranked_neurons.csv").read_bytes()
    key = next(iter(run.tasks))
    path = task_folder(run.path, key) / ROWS
    times = path.stat()
    flip_byte(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    status, _, err = script(export, run.path)
    assert status == 1
    assert "1 of 2 tasks of" in err
    assert script(probing_experiment, *PLANTED)[0] == 0
    assert row_bytes(run) == before
    assert (run.path / "ranked_neurons.csv").read_bytes() == table


def test_a_report_of_the_finished_part_writes_no_table(script, plant, monkeypatch):
    run = create_run(plant().with_flags(max_k=4, features_per_task=10, n_neurons=30))

    def broken(run_path, key):
        if run.tasks[key].layer == 0:
            raise ProbeError("nothing to fit")
        return run_task(run_path, key)

    monkeypatch.setattr(entry_points, "run_task", broken)
    status, out, err = script(probing_experiment, *PLANTED)
    assert status == 1
    assert "L1.5" in out
    assert "1 tasks or features failed" in err
    assert not list(run.path.glob("*.csv")) + list(run.path.glob("*.png"))


def test_flags_may_have_underscores_or_hyphens(script, plant):
    plant()
    hyphens = [flag.replace("_", "-") if flag.startswith("--") else flag for flag in PLANTED]
    assert hyphens != PLANTED
    first = script(probing_experiment, *PLANTED, "--probe_location", "mlp.hook_post")
    assert script(probing_experiment, *hyphens, "--probe-location", "mlp.hook_post") == first
    assert first[0] == 0


IMPORTS_OF_A_COMMAND = """
import sys
import probing_experiment

try:
    probing_experiment.main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
HEAVY = {"torch", "transformers", "scipy", "sklearn", "numba", "zarr", "submitit", "matplotlib"}


@pytest.mark.parametrize("arguments", [["--help"], ["status"]])
def test_help_and_status_do_not_import_what_only_tasks_need(plant, arguments):
    run = create_run(plant())
    for key in run.tasks:
        publish_result(run, key)
    if arguments == ["status"]:
        arguments = ["status", "--run", str(run.path)]
    command = [sys.executable, "-c", IMPORTS_OF_A_COMMAND, *arguments]
    done = subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, text=True)
    assert done.returncode == 0
    modules = set(done.stderr.split())
    assert "sparse_probing.config" in modules
    assert not modules & HEAVY


def test_help_shows_the_values_in_force(monkeypatch, capsys):
    monkeypatch.setenv("RESULTS_DIR", "/my/results")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "13")
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        probing_experiment.main()
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for shown in (
        "(default: /my/results)",
        "(default: 13)",
        "{debug,local,slurm}",
        "status the state of every task",
        "logs KEY errors and logs of a task",
        "cancel cancel the jobs",
        "verify prove the lower bounds of optimal probes again",
    ):
        assert shown in text
    for name in ProbingConfig().flags():
        assert f"--{name}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--feature_dataset", "none.such"], "There is no feature data set 'none.such'"),
        (["--feature_subset", "stong"], "has no feature stong; it has: strong, weak"),
        (["--layers", "4"], "has no layer 4; it holds layers 0, 1"),
        (["--model", "other"], "Make it with:\n  python get_activations.py --model other"),
        (["--probe_location", "hook_resid_post"], "--probe_location hook_resid_post"),
        (["--test_set_frac", "1.5"], "--test_set_frac must be between 0 and 1, not 1.5"),
        (["--workers", "0"], "--workers must be at least 1, not 0"),
    ],
)
def test_bad_input_is_one_message_and_status_1(script, plant, arguments, message):
    plant()
    status, out, err = script(probing_experiment, *PLANTED, *arguments)
    assert status == 1
    assert message in err
    assert err.startswith("error: ")
    assert out == ""


def test_a_feature_that_cannot_be_probed_is_named_and_the_others_are_kept(script, plant):
    config = plant(one_class=np.full(80, -1.0))
    status, out, err = script(probing_experiment, *PLANTED)
    assert status == 1
    assert "layer 0, feature one_class: There are 0 positive rows" in err
    assert "L1.5" in out
    results = load_results(create_run(config.with_flags(max_k=4, features_per_task=10, n_neurons=30)))
    assert set(results["feature"]) == {"strong", "weak"}


def test_a_truncated_store_file_is_named(script, plant):
    shard = plant().store_folder() / "mlp.hook_post" / "layer_01" / "c.0.0"
    shard.write_bytes(shard.read_bytes()[:99])
    status, _, err = script(probing_experiment, *PLANTED)
    assert status == 1
    assert "Layer 1, part 0: " in err
    assert "is damaged: it ends before byte" in err
    assert "--resume" in err


def test_a_disk_that_becomes_full(script, plant):
    config = plant()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        status, _, err = script(probing_experiment, *PLANTED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "File too large" in err
    assert "Finished work is kept; fix this and run the same command again." in err
    assert not list((config.activations.results_dir / "probing").rglob("rows.parquet"))
    assert script(probing_experiment, *PLANTED)[0] == 0


def test_the_command_in_the_message_makes_the_store(script, tiny_model_dir, tiny_dataset_root, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(tiny_dataset_root))
    arguments = ["--model", tiny_model_dir, "--feature_dataset", "natural_lang_id.tiny.64.-1", "--cluster", "debug"]
    arguments += ["--activation_aggregation", "mean", "--random_init", "--seed", 4, "--max_k", 2]
    arguments += ["--results_dir", tmp_path / "my results", "--feature_subset", "German"]
    status, _, err = script(probing_experiment, *arguments)
    assert status == 1
    python, name, *flags = shlex.split(err.splitlines()[-1])
    assert (python, name) == ("python", "get_activations.py")
    assert script(get_activations, *flags)[0] == 0
    status, out, _ = script(probing_experiment, *arguments)
    assert status == 0
    assert "German" in out


def run_command(*arguments):
    repository = SCRIPT.parent
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.slow
def test_three_commands_from_texts_to_neurons(tiny_model_dir):
    run_command("-m", "probing_datasets", "make", "natural_lang_id", "--tokenizer", tiny_model_dir)
    names = ["--model", tiny_model_dir, "--feature_dataset", "natural_lang_id.tiny.64.-1"]
    names += ["--activation_aggregation", "mean"]
    assert "complete: " in run_command("get_activations.py", *names)
    workers = ["--cluster", "local", "--workers", "2", "--max_k", "8"]
    out = run_command("probing_experiment.py", *names, *workers)
    config = ProbingConfig.from_flags(model=str(tiny_model_dir), feature_dataset="natural_lang_id.tiny.64.-1")
    config = config.with_flags(activation_aggregation="mean", cluster="local", workers=2, max_k=8)
    assert ZarrStore.open(config.store_folder()).verify() == []
    results = load_results(create_run(config))
    languages = ["Dutch", "English", "French", "German", "Greek", "Italian", "Portuguese", "Spanish", "Swedish"]
    assert len(results) == len(languages) * 2 * 8 * 2
    assert np.isfinite(results[[f"test_{metric}" for metric in METRICS]]).all(axis=None)
    assert results["converged"].all()
    ranked = pd.read_csv(create_run(config).path / "ranked_neurons.csv")
    assert sorted(ranked["feature"].unique()) == languages
    assert all(language in out for language in languages)
    assert (create_run(config).path / "f1_over_k.png").stat().st_size > 10_000


@pytest.mark.slow
def test_ctrl_c_keeps_finished_tasks(script, plant):
    config = plant(**noise_labels(16)).with_flags(max_k=4, experiment_type=("enumerate_monosemantic",))
    arguments = [*PLANTED, "--features_per_task", "1", "--n_neurons", "6", "--experiment_type", *config.experiment_type]
    run = create_run(config)
    command = [sys.executable, str(SCRIPT), *arguments, "--cluster", "local", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not any(
        read_record(run.path, key, task) for key, task in run.tasks.items()
    ):  # not a folder that is being written
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the script and to its workers
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted: finished work is kept; run the same command again to resume."
    assert "Traceback" not in err
    finished = [key for key in run.tasks if read_record(run.path, key, run.tasks[key])]
    assert 0 < len(finished) < len(run.tasks)
    times = {key: task_folder(run.path, key).stat().st_mtime_ns for key in finished}
    assert script(probing_experiment, *arguments)[0] == 0
    assert {key: task_folder(run.path, key).stat().st_mtime_ns for key in finished} == times
