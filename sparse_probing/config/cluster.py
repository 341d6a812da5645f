"""Where the tasks of stage 2 run, and what a job of the cluster is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.settings import read_settings
from sparse_probing.config.harvest import ARRAYS
from sparse_probing.config.store import at_least_one

Cluster = Literal["debug", "local", "slurm"]

OF_HARVEST = ("harvest_time", "harvest_cpus_per_task")
"""Numbers that may be left out, and then are those of stage 2."""


@dataclass(frozen=True)
class Resources:
    """What each job of an array is given."""

    partition: str | None
    time: int
    """Minutes."""
    mem: str | None
    cpus_per_task: int
    gpus: int
    constraint: str | None


@dataclass(frozen=True)
class ClusterConfig:
    """Settings that say where tasks run and how; none of them changes a result."""

    cluster: Cluster = "local"
    """debug: in this process, with one thread; local: worker processes; slurm: array jobs."""
    workers: int = field(default_factory=lambda: read_settings().n_cpus)
    """Worker processes (local)."""
    rank: int = field(default_factory=lambda: read_settings().array_rank)
    """Share of the tasks this process does, from 0 (debug, local). Default: from SLURM_ARRAY_TASK_ID."""
    world_size: int = field(default_factory=lambda: read_settings().array_size)
    """Processes that share the tasks. Default: from SLURM_ARRAY_TASK_COUNT, otherwise 1."""
    retry_failed: bool = False
    """Do tasks again that failed. Those that were lost or damaged always are."""
    dry_run: bool = False
    """Print the plan, how long it may take and the batch script, without running or submitting anything."""
    wait: bool = False
    """Wait for the jobs, and report (slurm)."""
    after: str | None = None
    """Jobs, as ID or ID:ID, that have to end well first (slurm); the store need not be complete yet."""
    tasks_per_job: int = 1
    """Tasks of one array entry; more where there would be more entries than the cluster takes."""
    throttle: int = 0
    """Entries of an array that run at the same time; 0: as many as Slurm lets."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: int = 240
    """Minutes of an array entry. One that needs more is requeued and goes on with the task it was at."""
    mem: str | None = None
    """Memory of an array entry, as sbatch takes it: 16G."""
    cpus_per_task: int = 1
    """CPUs, and threads, of an array entry."""
    gpus: int = 0
    constraint: str | None = None
    """Features that a node must have."""
    sbatch_parameters: tuple[str, ...] = ()
    """Further parameters of sbatch, as NAME=VALUE or NAME: reservation=probing exclusive."""
    setup: tuple[str, ...] = ()
    """Lines of shell that every job runs first: 'module load cuda'."""
    harvest: bool = False
    """Run stage 1 first, where its store is not complete."""
    harvest_jobs: int = 1
    """Jobs that share the parts of the store (slurm)."""
    harvest_flags: str = ""
    """Flags of get_activations.py for stage 1, in one word: --harvest_flags='--batch_size 64 --dtype bfloat16'."""
    harvest_partition: str | None = None
    """Default: that of --partition, as for the other resources of stage 1 that are not given."""
    harvest_time: int | None = None
    harvest_mem: str | None = None
    harvest_cpus_per_task: int | None = None
    harvest_gpus: int = 1
    """GPUs of a job of stage 1; with one or more it runs on cuda, unless --harvest_flags names a --device."""
    harvest_constraint: str | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range, and for flags that contradict one another."""
        at_least_one(self, "workers", "world_size", "tasks_per_job", "time", "cpus_per_task", "harvest_jobs")
        at_least_one(self, *(name for name in OF_HARVEST if getattr(self, name) is not None))
        if min(self.throttle, self.gpus, self.harvest_gpus) < 0:
            raise SettingsError("--throttle, --gpus and --harvest_gpus must be at least 0.")
        if not 0 <= self.rank < self.world_size:
            raise SettingsError(f"--rank must lie from 0 to {self.world_size - 1}, not {self.rank}. {ARRAYS}")
        if self.world_size > 1 and (self.harvest or self.cluster == "slurm"):
            raise SettingsError(
                "--harvest and --cluster slurm are for one process, and this one has a share of an array. "
                "Start it outside the array, or leave them out."
            )
        if self.after is not None and self.cluster != "slurm":
            raise SettingsError("--after goes with --cluster slurm.")

    @property
    def probe_resources(self) -> Resources:
        """What a job of stage 2 is given."""
        return Resources(self.partition, self.time, self.mem, self.cpus_per_task, self.gpus, self.constraint)

    @property
    def harvest_resources(self) -> Resources:
        """What a job of stage 1 is given."""
        return Resources(
            self.harvest_partition or self.partition,
            self.harvest_time or self.time,
            self.harvest_mem or self.mem,
            self.harvest_cpus_per_task or self.cpus_per_task,
            self.harvest_gpus,
            self.harvest_constraint or self.constraint,
        )
