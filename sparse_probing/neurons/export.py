"""Ranked neurons for others to download: ``python -m sparse_probing.neurons.export RUN_FOLDER ...``.

Writes ``<INTERPRETABLE_NEURONS_DIR>/<model>/<data set>.<hook point>.<aggregation>.<study>.csv`` for every run, a JSON
file of the same name with everything that decided the table, and updates ``SHA256SUMS``, which
``sha256sum --check`` reads. The name of a table of a run with other settings than the defaults ends with their digest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from probing_datasets.foundation.command_line import parse, run_command
from probing_datasets.foundation.console import show
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import DamagedFileError, SettingsError, SparseProbingError, TableError
from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.files.regular_files import read_regular_file
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.config import ProbingConfig
from sparse_probing.config.probing import DECIDE_NO_RESULT
from sparse_probing.config.result_folders import exported_table
from sparse_probing.neurons.load import CHECKSUMS, read_checksums
from sparse_probing.neurons.ranked_neurons import ranked_neurons, ranked_neurons_csv
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.run_record import Run, load_run
from sparse_probing.runs.tasks.published_results import read_record

logger = logging.getLogger(__name__)

DEFAULT_TOP = 100
LOCK = ".tmp-export.lock"
"""Held while a table and its checksum are written; git ignores the name."""
IN_THE_NAME = (
    "model",
    "revision",
    "random_init",
    "feature_dataset",
    "probe_location",
    "activation_aggregation",
    "experiment_type",
)
"""Settings that the name of a table shows."""
DECIDE_NO_TABLE = (*DECIDE_NO_RESULT, "experiment_name", "features_per_task", "save_features_together")


@dataclass(frozen=True)
class ExportConfig:
    """Which runs to export, and how many of their neurons."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs."""
    top: int = DEFAULT_TOP
    """Best neurons of each feature that are written; 0: all."""
    overwrite: bool = False
    """Replace an existing file that has another table."""


@dataclass(frozen=True)
class TableRecord:
    """What decided an exported table: the content of the JSON file beside it."""

    settings: dict[str, Any]
    """Every setting of stage 2 that decides a number, and ``top``."""
    activations: str
    """Digest of the activations."""
    versions: list[dict[str, str | None]]
    """Of Python, the packages and the commit that the tasks ran with."""
    sha256: str
    """Of the CSV."""


def export_neurons(run_path: Path, root: Path, top: int = DEFAULT_TOP, overwrite: bool = False) -> Path:
    """Write the ``top`` best neurons (0: all) of every feature of a run below ``root`` and return the CSV.

    Raises
    ------
    TaskError
        When the folder holds no run, or a task of it is not finished: the ranking is over all layers.
    TableError
        When the file exists with another table, unless it may be overwritten.
    """
    results, run = load_results(run_path), load_run(run_path)
    table = ranked_neurons(results)
    content = ranked_neurons_csv(table[table["rank"] <= top] if top else table)
    settings = {name: value for name, value in run.config.record().items() if name not in DECIDE_NO_RESULT}
    record = TableRecord(settings | {"top": top}, run.input_digest, _versions(run), hashlib.sha256(content).hexdigest())
    further = further_settings(run.config, top)
    digest = digest_json(further)[:8] if further else ""
    name = exported_table(run.config.activations, run.config.experiment_type, digest)
    path = root / name
    with locked(root / LOCK):  # another export would write the list of checksums that it read before
        if not overwrite and os.path.lexists(path) and not _has_content(path, content):
            raise TableError(
                f"{path} has another table{_differences(path, record)}, so nothing was written. "
                "Export with --overwrite to replace it, or set INTERPRETABLE_NEURONS_DIR to another folder."
            )
        write_bytes(path, content)
        write_sealed(path.with_suffix(".json"), record)
        _update_checksums(root, name.as_posix(), record.sha256)
    return path


def further_settings(config: ProbingConfig, top: int) -> dict[str, Any]:
    """Return the settings that decide a table, are not in the rest of its name, and do not have their default."""
    shown = (*IN_THE_NAME, *(["seed"] if config.activations.random_init else []))
    defaults = ProbingConfig().record() | {"top": DEFAULT_TOP}
    settings = config.record() | {"top": top}
    return {
        name: value
        for name, value in settings.items()
        if name not in shown and name not in DECIDE_NO_TABLE and value != defaults[name]
    }


def _versions(run: Run) -> list[dict[str, str | None]]:
    versions: list[dict[str, str | None]] = []
    for key in run.tasks:
        record = read_record(run.path, key, run.tasks[key])
        if record is not None and record.versions not in versions:
            versions.append(record.versions)
    return versions


def _differences(path: Path, record: TableRecord) -> str:
    """Return which settings of an existing table are not those of a new one, where that is known."""
    try:
        other = read_sealed(path.with_suffix(".json"), TableRecord)
    except (OSError, DamagedFileError):
        return ""
    names = [name for name in record.settings if other.settings.get(name) != _as_json(record.settings[name])]
    names += ["activations"] if other.activations != record.activations else []
    return f", of a run with other {', '.join(names)}" if names else ""


def _has_content(path: Path, content: bytes) -> bool:
    """Return whether a file holds these bytes; not when it is a pipe, a folder or a link that leads nowhere."""
    try:
        return read_regular_file(path, max_bytes=len(content)) == content
    except (OSError, ValueError):
        return False


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _update_checksums(root: Path, name: str, digest: str) -> None:
    """Replace the checksum of one table; those of the others stay, because their files may be damaged."""
    sums = read_checksums(root) if (root / CHECKSUMS).exists() else {}
    for missing in [other for other in sums if not (root / other).exists()]:
        logger.warning("%s is removed from %s, because it does not exist", missing, CHECKSUMS)
        del sums[missing]
    lines = [f"{value}  {table}\n" for table, value in sorted((sums | {name: digest}).items())]
    write_bytes(root / CHECKSUMS, "".join(lines).encode())


def export_command(config: ExportConfig) -> None:
    """Export every run into INTERPRETABLE_NEURONS_DIR and print the files.

    Raises
    ------
    SettingsError
        When no run is named, or ``top`` is negative.
    TableError
        When some of the runs could not be exported; the others were.
    """
    if not config.runs or config.top < 0:
        raise SettingsError(
            "Name at least one folder of a run (results/probing/<experiment>/<model>/...), and --top of 0 or more."
        )
    problems = []
    for run in config.runs:
        try:
            path = export_neurons(run, read_settings().interpretable_neurons_dir, config.top, config.overwrite)
        except SparseProbingError as error:
            problems.append(f"{run}: {error}")
        else:
            show(f"wrote {path}")
    if problems:
        raise TableError("\n".join(problems))


def main() -> int:
    """Run the command line; return the exit status."""
    return run_command(
        lambda: export_command(parse(ExportConfig, prog="python -m sparse_probing.neurons.export", description=__doc__))
    )


if __name__ == "__main__":
    sys.exit(main())
