"""Records of a run made without running it, the bytes and times of its results, and the scripts in this process."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.runs.planning.run_record import Run, Task
from sparse_probing.runs.submissions import (
    LOGS,
    Submission,
    mark_ended,
    new_submission,
    record_submission,
    submission_folder,
)
from sparse_probing.runs.tasks.attempt_records import begin_attempt, fail_attempt
from sparse_probing.runs.tasks.published_results import RECORD, ROWS, TaskRecord, publish, task_folder

PLANTED_FLAGS = ["--model", "tiny", "--feature_dataset", "made.tiny.16.-1", "--cluster", "debug"]
"""Flags of stage 2 on the data set and activations of the fixture `plant`."""

TRAPS = (
    "experiments/__init__.py",
    "analysis/__init__.py",
    "tests/__init__.py",
    "config.py",
    "results.py",
    "sparse_probing.py",
)
"""Files with names that our code has had, or might be taken for."""


def run_script(module, arguments, monkeypatch, capsys):
    """Run the script of a module in this process; return its exit status, output and errors."""
    monkeypatch.setattr(sys, "argv", [Path(module.__file__).name, *map(str, arguments)])
    status = module.main()
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def folder_with_traps(folder: Path) -> Path:
    """Make a folder of a user with modules that raise when they are imported; return it."""
    for name in TRAPS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'raise ImportError("{name} of the working directory was imported")\n')
    return folder


def noise_labels(n: int, n_sequences: int = 80) -> dict[str, np.ndarray]:
    """Return features that no neuron encodes, one label per sequence."""
    rng = np.random.default_rng(0)
    return {f"noise {i:02d}": np.where(rng.random(n_sequences) < 0.5, 1.0, -1.0) for i in range(n)}


def row_bytes(run: Run) -> dict[str, bytes]:
    """Return the bytes of the rows of every task of a finished run, by its key."""
    return {key: (task_folder(run.path, key) / ROWS).read_bytes() for key in run.tasks}


def publish_times(run: Run) -> dict[str, int]:
    """Return when every task of a finished run was published, in nanoseconds, by its key."""
    return {key: task_folder(run.path, key).stat().st_mtime_ns for key in run.tasks}


def task_record(key: str, task: Task | None = None, **changes) -> TaskRecord:
    """Return the record of a task that took two seconds."""
    record = TaskRecord(key, task or Task("dense_probe", 0, ("a",)), {}, 2.0, None, "host", {})
    return replace(record, **changes)


def publish_result(run: Run, key: str, **changes) -> None:
    """Publish a result without rows for a task, which took two seconds."""
    publish(run.path, [], task_record(key, run.tasks[key], **changes))


def fail_task(run: Run, key: str, submission: Submission) -> None:
    """Record an attempt at a task that failed."""
    fail_attempt(begin_attempt(run.path, key, submission.id), ProbeError("no such row"))


def set_seconds(run: Run, seconds: float) -> None:
    """Let every finished task have taken so long."""
    for key in run.tasks:
        path = task_folder(run.path, key) / RECORD
        write_sealed(path, replace(read_sealed(path, TaskRecord), seconds=seconds))


def cut_short(path: Path, n_bytes: int = 1) -> None:
    """Remove the last bytes of a file."""
    path.write_bytes(path.read_bytes()[:-n_bytes])


def flip_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def record_jobs(run: Run, cluster, keys, job_id=None, phase="submitted") -> Submission:
    """Record the submission of some tasks, a list of keys for each job (None: shares), and return it."""
    submission = new_submission("probe", cluster, len(keys or run.tasks), keys)
    submission = replace(submission, phase=phase, job_id=job_id)
    record_submission(run.folder, submission)
    return submission


def write_log(run: Run, submission: Submission, job: str, text: str) -> Path:
    """Write the log of a job of a submission; return its path."""
    path = submission_folder(run.folder, submission) / LOGS / f"{job}_0_log.out"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def end_job(run: Run, submission: Submission, job: str) -> None:
    """Let the program of a job have ended in good order."""
    write_log(run, submission, job, "")
    mark_ended(submission_folder(run.folder, submission) / LOGS, job)


def let_slurm_forget_all_jobs(folder: Path, monkeypatch) -> None:
    """Put a squeue on the path that lists no job."""
    folder.mkdir(exist_ok=True)
    (folder / "squeue").write_text("#!/bin/sh\n")
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
