"""Where the tasks of stage 2 run, and the resources of a Slurm job. None of these settings changes a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.sections import at_least_one

Cluster = Literal["debug", "local", "slurm"]


@dataclass(frozen=True)
class Resources:
    """Resources of each job of an array."""

    partition: str | None
    time: int
    """Minutes."""
    mem: str | None
    cpus_per_task: int
    gpus: int
    constraint: str | None


@dataclass(frozen=True)
class ExecutionConfig:
    """Where tasks run."""

    cluster: Cluster = "local"
    """debug: in this process, with one thread; local: worker processes; slurm: array jobs."""
    workers: int = field(default_factory=lambda: read_settings().n_cpus)
    """Worker processes (local)."""
    retry_failed: bool = False
    """Run failed tasks again. Tasks that were lost or died, and damaged results, always run again."""
    wait: bool = False
    """Wait for the jobs and print the results (slurm)."""
    tasks_per_job: int | None = None
    """Tasks of one array entry (slurm); more where the cluster does not accept so many entries. Default: about a
    minute of work, where finished tasks of the same study tell how long that is; otherwise 1."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "workers", *([] if self.tasks_per_job is None else ["tasks_per_job"]))


@dataclass(frozen=True)
class SlurmConfig:
    """Slurm jobs of stage 2."""

    after: str | None = None
    """Jobs, as ID or ID:ID, that have to end well first; the store need not be complete before that."""
    throttle: int = 0
    """Largest number of entries of an array that run at the same time; 0: as many as Slurm allows."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: int = 240
    """Minutes of an array entry. An entry that needs more is requeued and resumes its unfinished task."""
    mem: str | None = None
    """Memory of an array entry in the notation of sbatch: 16G."""
    cpus_per_task: int = 1
    """CPUs and threads of an array entry."""
    gpus: int = 0
    constraint: str | None = None
    """Features that a node must have."""
    sbatch_parameters: tuple[str, ...] = ()
    """Other parameters of sbatch, as NAME=VALUE or NAME: reservation=probing exclusive."""
    setup: tuple[str, ...] = ()
    """Shell commands that every job runs first: 'module load cuda'."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        at_least_one(self, "time", "cpus_per_task")
        if min(self.throttle, self.gpus) < 0:
            raise SettingsError("--throttle and --gpus must be at least 0.")

    @property
    def resources(self) -> Resources:
        """Resources of a job of stage 2."""
        return Resources(self.partition, self.time, self.mem, self.cpus_per_task, self.gpus, self.constraint)

    @property
    def first_jobs(self) -> tuple[str, ...]:
        """Ids of the jobs in ``after``."""
        return tuple(self.after.split(":")) if self.after else ()


@dataclass(frozen=True)
class HarvestFirstConfig:
    """Stage 1 before stage 2, in the same command."""

    harvest: bool = False
    """Run stage 1 first when its store is not complete."""
    harvest_jobs: int = 1
    """Jobs that share the parts of the store (slurm)."""
    harvest_flags: str = ""
    """Flags of get_activations.py for stage 1, as one argument: --harvest_flags='--batch_size 64 --dtype bfloat16'."""
    harvest_partition: str | None = None
    """Partition of the jobs of stage 1. Resources of stage 1 that are not given are those of stage 2."""
    harvest_time: int | None = None
    harvest_mem: str | None = None
    harvest_cpus_per_task: int | None = None
    harvest_gpus: int = 1
    """GPUs of a job of stage 1. With one or more, stage 1 runs on cuda unless --harvest_flags sets --device."""
    harvest_constraint: str | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        optional = ("harvest_time", "harvest_cpus_per_task")
        at_least_one(self, "harvest_jobs", *(name for name in optional if getattr(self, name) is not None))
        if self.harvest_gpus < 0:
            raise SettingsError("--harvest_gpus must be at least 0.")

    def resources(self, slurm: SlurmConfig) -> Resources:
        """Return the resources of a job of stage 1; those that are not given are those of stage 2."""
        return Resources(
            self.harvest_partition or slurm.partition,
            self.harvest_time or slurm.time,
            self.harvest_mem or slurm.mem,
            self.harvest_cpus_per_task or slurm.cpus_per_task,
            self.harvest_gpus,
            self.harvest_constraint or slurm.constraint,
        )
