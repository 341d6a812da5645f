"""A real Slurm on this machine, for the tests of this folder."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import probing_experiment
from tests.builders.runs import run_script
from tests.builders.slurm import MidWrite, Results, Slurm

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    missing = [name for name in DAEMONS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        reason = f"no {', '.join(missing)} here; apt-get install --no-install-recommends slurm-wlm munge"
        (pytest.fail if os.environ.get("REQUIRE_SLURM") == "1" else pytest.skip)(reason)
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.wait_until_ready()
        yield slurm
    finally:
        slurm.stop()


@pytest.fixture
def slurm(cluster, monkeypatch):
    """The cluster, with the commands of Slurm and our Python on the path; its queue is empty."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    yield cluster
    cluster.clear()


@pytest.fixture
def flags():
    """Flags of stage 2 on planted neurons: a task for each feature and layer."""
    named = ["--model", "tiny", "--feature_dataset", "made.tiny.16.-1"]
    return [*named, "--max_k", "4", "--features_per_task", "1", "--tasks_per_job", "1", "--mem", "1G", "--time", "5"]


@pytest.fixture
def probe(slurm, flags, monkeypatch, capsys):
    """A function that runs stage 2 on planted neurons, in this process; it returns exit status, output and errors."""

    def run(*arguments, command=(), cluster="slurm"):
        words = [*command, *flags, "--cluster", cluster, *arguments]
        return run_script(probing_experiment, words, monkeypatch, capsys)

    return run


@pytest.fixture
def states(probe):
    """A function that returns how many tasks `status` finds in which state."""

    def ask(*arguments):
        status, out, err = probe(*arguments, "--json", command=["status"])
        assert out, err
        counts = {state: n for state, n in json.loads(out)["counts"].items() if n}
        assert (status == 0) == (set(counts) == {"done"})
        return counts

    return ask


@pytest.fixture
def results():
    return Results()


@pytest.fixture
def mid_write(tmp_path, monkeypatch):
    """One process of the jobs of this test stops in the middle of a write."""
    stop = MidWrite(tmp_path / "mid write")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mid write"))
    yield stop
    stop.let_go()
