"""The test cluster itself: what the other tests of this folder rely on."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ONE_MACHINE = Path(__file__).with_name("one_machine.py")


def test_there_are_three_nodes_and_two_partitions(slurm):
    listed = slurm.run("sinfo", "-h", "-N", "-o", "%P %N %t").split("\n")
    assert sorted(line for line in listed if line) == [f"{p} n{i} idle" for p in ("low", "main*") for i in (1, 2, 3)]


def test_a_job_runs_with_the_environment_of_its_submitter(slurm, tmp_path):
    slurm.sbatch("--gpus=1", "-o", tmp_path / "log", "--wrap", "echo $GREETING $CUDA_VISIBLE_DEVICES", GREETING="hi")
    assert slurm.wait_for_end() == {"COMPLETED": 1}
    assert (tmp_path / "log").read_text() == "hi 0\n"


def test_a_requeued_job_starts_again_soon(slurm, tmp_path):
    log = tmp_path / "log"
    job = slurm.sbatch("-o", log, "--open-mode=append", "--wrap", "echo started; sleep 300")
    slurm.wait_for(lambda: log.exists() and log.read_text() == "started\n")
    slurm.run("scontrol", "requeue", job)
    slurm.wait_for(lambda: log.read_text().count("started") == 2, 30)


def test_the_largest_array_can_be_changed(slurm, tmp_path):
    with slurm.configured(MaxArraySize=3):
        refused = subprocess.run(["sbatch", "--array=0-3", "--wrap", "true"], capture_output=True, text=True)
        assert "Invalid job array specification" in refused.stderr
        slurm.sbatch("--array=0-2", "-o", tmp_path / "log", "--wrap", "true")
        assert slurm.wait_for_end() == {"COMPLETED": 3}


IGNORING = """trap '' TERM HUP INT
setsid sleep 300 & echo $! >{file}.new
mv {file}.new {file}
wait"""


def numbers_in(folder):
    return [int(path.read_text()) for path in folder.glob("*.pid")]


@pytest.mark.parametrize("end", [lambda process: process.stdin.close(), lambda process: process.terminate()])
def test_no_process_is_left_behind(slurm, tmp_path, end):
    """Neither a daemon, nor a process that a job started in a new session and that ignores signals."""
    folder = tmp_path / "other"
    there = {"SLURM_CONF": folder / "slurm.conf"}
    process = subprocess.Popen([sys.executable, ONE_MACHINE, folder, "cat"], stdin=subprocess.PIPE)
    slurm.wait_for(lambda: slurm.run("sinfo", "-h", "-p", "main", "-o", "%D %t", check=False, **there) == "3 idle\n")
    slurm.sbatch("-o", tmp_path / "log", "--wrap", IGNORING.format(file=folder / "job.pid"), **there)
    slurm.wait_for((folder / "job.pid").exists)
    numbers = numbers_in(folder)
    assert len(numbers) == len(["munged", "slurmctld", "n1", "n2", "n3", "job"])
    assert all(map(psutil.pid_exists, numbers))
    end(process)
    process.wait(30)
    assert not any(map(psutil.pid_exists, numbers))
