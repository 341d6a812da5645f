"""Which results are intact, without reading those again that were read before and have not changed since."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from probing_datasets.foundation.atomic_files import write_json
from sparse_probing.runs.tasks.results import RECORD, ROWS, TASKS, read_record

VERDICTS = "verified.json"


@dataclass(frozen=True)
class Verdict:
    """What is known of a result."""

    stamp: list[int]
    """Time of change, in nanoseconds, and size of its files; the verdict holds while they do."""
    intact: bool
    seconds: float = 0
    """What the task took."""
    failed_features: dict[str, str] = field(default_factory=dict)
    """Why features could not be probed."""


def judge_results(run_path: Path, keys: Iterable[str]) -> dict[str, Verdict]:
    """Return a verdict for each of the tasks that has a result.

    Checksums of new and changed files are compared; the verdicts are kept beside the run.
    """
    known, found = _read(run_path / VERDICTS), {}
    for key in sorted(set(keys) & _published(run_path)):
        stamp = _stamp(f"{run_path}/{TASKS}/{key}")
        old = known.get(key)
        found[key] = old if old is not None and old.stamp == stamp else _judge(run_path, key, stamp)
    if any(known.get(key) is not verdict for key, verdict in found.items()):
        with suppress(OSError):  # the folder may be another user's, or the disk full
            _write(run_path / VERDICTS, known | found)
    return found


def _published(run_path: Path) -> set[str]:
    try:
        return set(os.listdir(run_path / TASKS))
    except FileNotFoundError:
        return set()


def _stamp(folder: str) -> list[int]:
    stamp = []
    for name in (RECORD, ROWS):
        try:
            found = os.stat(f"{folder}/{name}")
            stamp += [found.st_mtime_ns, found.st_size]
        except FileNotFoundError:
            stamp += [0, -1]
    return stamp


def _judge(run_path: Path, key: str, stamp: list[int]) -> Verdict:
    record = read_record(run_path, key)
    if record is None:
        return Verdict(stamp, intact=False)
    return Verdict(stamp, True, record.get("seconds", 0), record.get("failed_features", {}))


def _read(path: Path) -> dict[str, Verdict]:
    try:
        return {key: Verdict(**verdict) for key, verdict in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, verdicts: dict[str, Verdict]) -> None:
    write_json(path, {key: asdict(verdict) for key, verdict in verdicts.items()})
