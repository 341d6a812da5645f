"""What the cluster costs: the time of an array entry beyond its work, and ``status`` of a run of 10,000 tasks.

The first half submits an array to Slurm; the test cluster will do::

    python tests/slurm/one_machine.py /tmp/cluster python -m benchmarks.cluster_overhead
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import tyro

import probing_experiment
from benchmarks._report import print_table, seconds
from probing_datasets.foundation.files.sealed_json import seal
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.activations.harvest import harvest
from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.planning.run_record import Run, Task, name_run, record_run
from sparse_probing.runs.status.run_status import run_status
from sparse_probing.runs.tasks.published_results import RECORD, ROWS, TaskRecord, publish, read_record, task_folder

SCRIPT = Path(probing_experiment.__file__)
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class ClusterOverheadConfig:
    """Sizes of both halves."""

    n_features: int = 9
    """Entries of the array, one after the other: a feature of a layer of the demo each."""
    partition: str | None = None
    n_tasks: int = 10_000
    """Finished tasks of the run that ``status`` looks at."""


@dataclass(frozen=True)
class Span:
    """When a job began and ended, to the second, as Slurm has it."""

    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it had a node."""
        return (self.end - self.begin).total_seconds()


def compare_entries(config: ClusterOverheadConfig, folder: Path) -> Rows:
    """Time the entries of an array on Slurm, and the start of Python that is in each."""
    run = run_array(config, folder)
    records = [record for key in run.tasks if (record := read_record(run.path, key, run.tasks[key])) is not None]
    spans = list(all_spans({record.job for record in records if record.job}).values())
    n, work, inside = len(records), sum(record.seconds for record in records), sum(span.seconds for span in spans)
    whole = (max(span.end for span in spans) - min(span.begin for span in spans)).total_seconds()
    parts = {
        "work": work / n,
        "beyond the work": (inside - work) / n,
        "to start Python and import the worker, once": import_seconds(),
        "from the end of an entry to the start of the next": (whole - inside) / n,
    }
    return [{"of an entry": name, "s": f"{value:.2f}"} for name, value in parts.items()]


def run_array(config: ClusterOverheadConfig, folder: Path) -> Run:
    """Do tasks of the demo data set and model as an array, one entry at a time, and wait for them."""
    dataset = make_dataset(MakeConfig("natural_lang_id", output_dir=folder))
    store = dict(feature_dataset=str(folder / dataset.name), activation_aggregation="mean", results_dir=folder)
    harvest(HarvestConfig.from_flags(**store))
    features = dataset.features[: config.n_features]
    return run_probing(
        ProbingConfig.from_flags(
            **store,
            layers=(0,),
            feature_subset=features,
            features_per_task=1,
            cluster="slurm",
            partition=config.partition,
            throttle=1,
        )
    )


def all_spans(jobs: Collection[str]) -> dict[str, Span]:
    """Wait until jobs have ended, and return when each of them began and ended, by its id."""
    command = ["squeue", "--noheader", "--array", "--states=completed", "--format=%i %S %e"]
    while True:
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
        ended = {job: times for job, *times in map(str.split, asked.stdout.splitlines()) if job in jobs}
        if len(ended) == len(jobs):
            return {job: Span(*map(datetime.fromisoformat, times)) for job, times in ended.items()}
        time.sleep(1)


def import_seconds() -> float:
    """Return how long a new process takes to import what an entry runs."""
    command = [sys.executable, "-c", "import sparse_probing.runs.tasks.entry_points"]
    return seconds(partial(subprocess.run, command, check=True, cwd=SCRIPT.parent)).wall


def compare_status(config: ClusterOverheadConfig, folder: Path) -> Rows:
    """Time ``status`` of a finished run: when every checksum has to be compared, again, and as a command."""
    run = make_finished_run(config.n_tasks, folder)
    command = [sys.executable, str(SCRIPT), "status", "--run", str(run.path), "--json"]
    ways = {
        "first, reading every result": partial(run_status, run),
        "again": partial(run_status, run),
        "again, as a command": partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL),
    }
    return [
        {f"status of {config.n_tasks:,} tasks": name, "s": f"{seconds(way).wall:.2f}"} for name, way in ways.items()
    ]


def make_finished_run(n_tasks: int, folder: Path) -> Run:
    """Record a run of many tasks and give each of them the same result."""
    config = ProbingConfig.from_flags(results_dir=folder, feature_dataset_dir=folder)
    run = name_run(config, [Task("dense_probe", layer, ("feature",)) for layer in range(n_tasks)], "0" * 16)
    record_run(run)
    first, *others = run.tasks
    publish(run.path, [], TaskRecord(first, run.tasks[first], {}, 1.0, None, "", {}))
    record = read_record(run.path, first, run.tasks[first])
    if record is None:
        raise AssertionError("The result was just published.")
    for key in others:
        other = task_folder(run.path, key)
        other.mkdir()
        os.link(task_folder(run.path, first) / ROWS, other / ROWS)
        (other / RECORD).write_bytes(seal(asdict(replace(record, key=key, task=run.tasks[key]))))
    return run


def main(config: ClusterOverheadConfig) -> None:
    """Print both tables; without a Slurm only the second."""
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("sbatch"):
            print_table(compare_entries(config, Path(folder)))
            print()
        print_table(compare_status(config, Path(folder)))


if __name__ == "__main__":
    main(tyro.cli(ClusterOverheadConfig, description=__doc__))
