"""Processes that make a store and are killed with SIGKILL, and checks of the files that remain."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from operator import itemgetter
from pathlib import Path
from signal import SIGKILL
from threading import RLock

from tqdm import tqdm

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.atomic_files import TEMPORARY_PREFIX
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.manifest.part_records import PARTS
from sparse_probing.activations.stores.manifest.plan_file import HEADER
from sparse_probing.activations.stores.manifest.provenance import PROVENANCE

FORKS = multiprocessing.get_context("forkserver")
"""Processes are forked from one that has imported everything once, and has no threads."""

PRELOADED = [
    "benchmarks._language_models",
    "sparse_probing.activations.harvest",
    "transformers.models.gpt_neox.modeling_gpt_neox",
]

Files = dict[str, bytes]
"""Content by name."""


@dataclass(frozen=True)
class Work:
    """Processes that make one store together."""

    path: Path
    """The store."""
    commands: tuple[Callable[[], object], ...]
    """The work of each process; called again, it resumes."""
    logs: tuple[Path, ...] = ()
    """Files in which each process notes the numbers of the parts that it has computed, one per line."""


@dataclass
class Tally:
    """Counts over the stores of one kind."""

    kills: int = 0
    amid_parts: int = 0
    """Kills that left a store with some parts finished and some not."""
    runs: int = 0
    """Runs of processes, killed or not."""
    stores: int = 0
    lost: int = 0
    """Records of parts that existed before a run or a kill and were missing or changed after the kill."""
    torn: int = 0
    """Files of finished parts, and of the whole store, that differed from their checksums."""
    redone: list[int] = field(default_factory=list)
    """For each kill, parts that the process had computed and that have no record."""
    differing: int = 0
    """Complete stores whose bytes differ from those of an uninterrupted run."""


def import_once() -> None:
    """Start the process that all others are forked from, and wait until it has imported everything."""
    FORKS.set_forkserver_preload(PRELOADED)
    first = FORKS.Process(target=time.sleep, args=(0,))
    first.start()
    first.join()


def run(work: Work, tally: Tally, delays: dict[int, float]) -> float:
    """Start all processes of a store, kill some of them, and wait for the others.

    Parameters
    ----------
    work : Work
    tally : Tally
        The counts are added to it.
    delays : dict[int, float]
        Seconds after which a process is killed, by its index among the commands.

    Returns
    -------
    float
        Seconds until all had ended.

    Raises
    ------
    StoreError
        When a process fails that was not killed.
    """
    for log in work.logs:
        log.unlink(missing_ok=True)
    processes = [FORKS.Process(target=_quietly, args=(command,)) for command in work.commands]
    begin, before = time.perf_counter(), records_of(work.path)
    for process in processes:
        process.start()
    for rank, delay in sorted(delays.items(), key=itemgetter(1)):
        processes[rank].join(max(0.0, begin + delay - time.perf_counter()))
        kill(work, rank, processes[rank], before, tally)
    for process in processes:
        process.join()
        _check_exit(work, process)
    tally.runs += len(processes)
    return time.perf_counter() - begin


def kill(work: Work, rank: int, process: BaseProcess, before: Files, tally: Tally) -> None:
    """Kill one process of a store, unless it has ended, and check which records, old and new, still exist."""
    before = before | records_of(work.path)
    process.kill()
    process.join()
    if process.exitcode != -SIGKILL:
        return
    after = records_of(work.path)
    tally.kills += 1
    tally.amid_parts += bool(after) and not is_complete(work.path)
    tally.lost += n_lost(before, after)
    tally.torn += n_torn(work.path)
    if work.logs:
        tally.redone.append(n_redone(work.logs[rank], after))


def is_complete(store: Path) -> bool:
    """Whether a store, which may not exist yet, has all its parts."""
    return (store / HEADER).exists() and open_store(store).is_complete


def records_of(store: Path) -> Files:
    """Read the records of the finished parts of a store, which may not exist yet."""
    return {path.name: path.read_bytes() for path in (store / PARTS).glob("[0-9]*.json")}


def n_lost(before: Files, after: Files) -> int:
    """Count the records that are missing or have changed."""
    return sum(after.get(name) != record for name, record in before.items())


def n_torn(store: Path) -> int:
    """Count the files of a store that differ from their record; a store without a header has no records yet."""
    if not (store / HEADER).exists():
        return 0
    try:
        return len(open_store(store).verify())
    except CorruptStoreError:
        return 1


def n_redone(log: Path, records: Files) -> int:
    """Count the parts that a process noted as computed and that have no record."""
    computed = log.read_text().split() if log.exists() else []
    return sum(f"{int(part):06d}.json" not in records for part in computed)


def files_of(store: Path) -> Files:
    """Read the files of a store, except leftovers and its provenance, which names the process that created it."""
    paths = (path for path in store.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY_PREFIX))
    return {str(path.relative_to(store)): path.read_bytes() for path in paths if path.name != PROVENANCE}


def _quietly(command: Callable[[], object]) -> None:
    tqdm.set_lock(RLock())  # its default is a system semaphore, which a killed process would not release
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        command()


def _check_exit(work: Work, process: BaseProcess) -> None:
    if process.exitcode not in (0, -SIGKILL):
        raise StoreError(
            f"A process that made {work.path} failed without a kill (status {process.exitcode}). "
            "Its error is printed above."
        )
