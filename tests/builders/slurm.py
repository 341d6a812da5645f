"""A Slurm cluster on this machine, the results of the only run of a test, and a process that stops during a write."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparse_probing.runs.planning.run_record import load_run
from sparse_probing.runs.tasks.published_results import ROWS, read_record, task_folder

REPOSITORY = Path(__file__).parents[2]
ONE_MACHINE = REPOSITORY / "tests" / "slurm" / "one_machine.py"
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"}


class Slurm:
    """A running cluster with the nodes n1, n2 and n3, and the partitions main and low; main takes nodes from low."""

    def __init__(self, folder):
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._last_job_before = 0
        command = [sys.executable, ONE_MACHINE, folder, "sh", "-c", "echo ready; exec sh"]
        # The cluster lives as long as a shell that reads from us: however this process ends, the cluster ends too.
        self._shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_until_ready(self):
        """Return when all nodes take jobs; fail with the logs of the daemons when the cluster does not start."""
        if self._shell.stdout.readline() != "ready\n":
            logs = "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.log")))
            pytest.fail(f"The test cluster did not start.\n{logs}")

    def stop(self):
        """End the cluster with everything it started."""
        self._shell.communicate()

    def start(self, *daemon):
        """Start a daemon as a descendant of the cluster, which will end it."""
        self._shell.stdin.write(f"{' '.join(daemon)} && echo started\n")
        self._shell.stdin.flush()
        assert self._shell.stdout.readline() == "started\n"

    def kill(self, daemon):
        """Kill `slurmctld`, or `slurmd.n2`, as a machine that loses its power does."""
        pid = int((self.folder / f"{daemon}.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        self.wait_for(lambda: not Path(f"/proc/{pid}").exists())

    @contextmanager
    def configured(self, **settings):
        """Change slurm.conf for a while; the controller is started again before and after."""
        before = self.conf.read_text()
        other_lines = [line for line in before.splitlines() if line.split("=")[0] not in settings]
        try:
            self._configure("\n".join([*other_lines, *(f"{name}={value}" for name, value in settings.items()), ""]))
            yield
        finally:
            self._configure(before)

    def _configure(self, text):
        self.conf.write_text(text)
        self.kill("slurmctld")
        self.start("slurmctld")
        self.wait_for(self.answers)

    def nodes(self):
        """Return the state of every node."""
        return self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%t", check=False).split()

    def answers(self):
        """Whether the controller answers."""
        return self.run("scontrol", "ping", check=False).endswith("is UP\n")

    def run(self, *command, check=True, **environment):
        """Run a command in the repository; return what it printed."""
        environment = {"SLURM_CONF": str(self.conf)} | {name: str(value) for name, value in environment.items()}
        done = subprocess.run(
            [str(word) for word in command],
            cwd=REPOSITORY,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def sbatch(self, *arguments, **environment):
        """Submit a batch script; return the number of its job."""
        return self.run("sbatch", "--parsable", *arguments, **environment).strip()

    def queue(self, field="%T"):
        """Return a field (the state) of every job of this test, by its number: `7`, or `7_2` in an array."""
        listed = self.run("squeue", "-h", "-r", "-t", "all", "-o", f"%i {field}", check=False)
        fields = dict(line.split(" ", 1) for line in listed.splitlines())
        return {job: value for job, value in fields.items() if int(job.split("_")[0]) > self._last_job_before}

    def wait_for_end(self, seconds=120):
        """Wait until all jobs of this test have ended; return how many ended in which state."""
        self.wait_for(lambda: self.queue() and set(self.queue().values()) <= FINAL, seconds)
        return Counter(self.queue().values())

    def wait_for(self, condition, seconds=60):
        """Wait until a condition holds; fail when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain; states: {self.queue()}"
            time.sleep(0.1)

    def clear(self):
        """Cancel all jobs, and let no later test see them."""
        self.run("scancel", "-u", str(os.getuid()), check=False)
        self.wait_for(lambda: set(self.queue().values()) <= FINAL)
        numbers = (int(job.split("_")[0]) for job in self.queue())
        self._last_job_before = max(numbers, default=self._last_job_before)


class Results:
    """What the only run below RESULTS_DIR has published."""

    @property
    def run(self):
        (plan,) = Path(os.environ["RESULTS_DIR"]).rglob("run.json")
        return load_run(plan.parent)

    def rows(self):
        """Return the bytes of the rows of every finished task, by its key."""
        return {key: (task_folder(self.run.path, key) / ROWS).read_bytes() for key in self.jobs()}

    def jobs(self):
        """Return the job that did it, for every finished task."""
        records = {key: read_record(self.run.path, key, self.run.tasks[key]) for key in self.run.tasks}
        return {key: record.job for key, record in records.items() if record}


STALL = """
import os, sys, time

def stall(event, arguments):
    if event != "open" or "/.tmp-task.json-" not in str(arguments[0]) or arguments[1] != "w":
        return
    try:
        with open({stalled!r}, "x") as file:
            print(os.getpid(), file=file)
    except FileExistsError:
        return
    while not os.path.exists({let_go!r}):
        time.sleep(0.1)

sys.addaudithook(stall)
"""


class MidWrite:
    """Stops the first process that has written the rows of a task and not yet its record, until it is let go."""

    def __init__(self, folder):
        folder.mkdir()
        self._stalled, self._let_go = folder / "stalled", folder / "let go"
        # Python imports a module of this name at its start, wherever it is on the path.
        text = STALL.format(stalled=str(self._stalled), let_go=str(self._let_go))
        (folder / "sitecustomize.py").write_text(text)

    def reached(self):
        return self._stalled.exists() and self._stalled.read_text().endswith("\n")

    @property
    def pid(self):
        return int(self._stalled.read_text())

    def let_go(self):
        self._let_go.touch()
