"""A dry run: the tasks, the estimates and the batch script, and that nothing is written."""

import dataclasses
import os
import re
import shlex
import sys

import pytest

from sparse_probing.runs import dry_run as dry_run_module
from sparse_probing.runs.dry_run import dry_run, estimate
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.planning.create_run import build_run, create_run
from tests.builders.runs import set_seconds


@pytest.fixture
def config(plant):
    return plant()


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    """Commands of Slurm are not on the path; its answers are tested with a real Slurm."""
    folders = [folder for folder in os.environ["PATH"].split(":") if not os.path.exists(f"{folder}/sbatch")]
    monkeypatch.setenv("PATH", ":".join(folders))


def files(config):
    return sorted(path for path in config.activations.results_dir.rglob("*") if path.is_file())


def test_the_tasks_are_shown_and_nothing_is_written(config):
    before = files(config)
    text = dry_run(config)
    assert text.startswith(f"4 tasks (4 todo) in {build_run(config).path}\n")
    assert "estimated hours: unknown" in text
    assert text.endswith("Nothing was run or submitted.")
    assert files(config) == before


def test_gigabytes_are_those_of_the_store(config, monkeypatch):
    run = create_run(config)
    plan = dry_run_module.open_inputs(config).store.plan
    layer = plan.n_rows * 20 * 4 / 1e9
    big = dataclasses.replace(plan, n_rows=plan.n_rows * 1_000_000, part_rows=plan.part_rows * 1_000)
    monkeypatch.setattr(dry_run_module, "open_inputs", lambda _: _Inputs(big))
    assert f"each reads a layer of {layer * 1e6:,.3f} GB, together {4e6 * layer:,.3f} GB" in dry_run(config)
    assert len(run.tasks) == 4


class _Inputs:
    def __init__(self, plan):
        self.store = self
        self.plan = plan


def test_hours_are_those_of_finished_tasks_of_this_run_or_an_earlier_one(config):
    earlier = run_probing(config)
    set_seconds(earlier, 1800.0)
    later = config.with_flags(seed=1, workers=2, cluster="local")
    assert estimate(build_run(later), build_run(later).tasks).hours == pytest.approx(2.0)
    assert "estimated: 2.00 hours of work, 1.00 hours with 2 at a time (from 4 finished tasks)" in dry_run(later)
    set_seconds(run_probing(later), 3600.0)
    assert estimate(create_run(later), build_run(later).tasks).hours == pytest.approx(4.0)
    other = build_run(config.with_flags(experiment_type=("dense_probe",)))
    assert estimate(other, other.tasks).hours is None


def test_the_batch_script_has_the_requested_parameters(config):
    requested = config.with_flags(
        cluster="slurm",
        throttle=3,
        partition="cpu",
        account="me",
        qos="low",
        time=7,
        mem="3G",
        cpus_per_task=2,
        gpus=1,
        constraint="avx2",
        after="12:13",
        sbatch_parameters=("reservation=mine", "exclusive"),
        setup=("module load python",),
    )
    lines = dry_run(requested).splitlines()
    for flag in (
        "array=0-3%3",
        "partition=cpu",
        "account=me",
        "qos=low",
        "time=7",
        "mem=3G",
        "cpus-per-task=2",
        "gpus-per-node=1",
        "constraint=avx2",
        "dependency=afterok:12:13",
        "kill-on-invalid-dep=yes",
        "reservation=mine",
        "exclusive",
        "requeue",
        "signal=USR2@90",
    ):
        assert f"#SBATCH --{flag}" in lines
    assert "export OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2" in "\n".join(lines)
    assert "export HF_HUB_OFFLINE=1" in lines
    assert lines.index("module load python") > lines.index("export HF_HUB_OFFLINE=1")
    (call,) = [shlex.split(line) for line in lines if line.startswith("srun ")]
    assert "--cpus-per-task=2" in call
    assert call[-6:-1] == [sys.executable, "-P", "-u", "-m", "sparse_probing.runs.slurm.job"]
    assert re.search(r"There is no sbatch here that can check it", dry_run(requested))


def test_one_task_is_not_an_array(config):
    one = config.with_flags(cluster="slurm", layers=(0,), feature_subset=("weak",))
    assert "#SBATCH --array" not in dry_run(one)


def test_tasks_of_a_job(config):
    assert "2 jobs of at most 3 tasks" in dry_run(config.with_flags(cluster="slurm", tasks_per_job=3))


def test_a_short_job_is_signalled_in_its_last_quarter(config):
    assert "#SBATCH --signal=USR2@15" in dry_run(config.with_flags(cluster="slurm", time=1))
