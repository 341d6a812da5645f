"""Ranked neurons for others to download: ``python -m sparse_probing.neurons.export RUN_FOLDER ...``.

Writes ``<INTERPRETABLE_NEURONS_DIR>/<model>/<data set>.<hook point>.<aggregation>.<study>.csv`` for
every run and updates ``SHA256SUMS``, which ``sha256sum --check`` reads.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from probing_datasets.foundation.atomic_files import write_bytes
from probing_datasets.foundation.command_line import parse, run_command
from probing_datasets.foundation.console import show
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError, TaskError
from sparse_probing.config.result_folders import dataset_name, model_name
from sparse_probing.neurons.load import CHECKSUMS
from sparse_probing.neurons.ranked_neurons import write_ranked_neurons
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.run_record import load_run
from sparse_probing.runs.tasks.published_results import finished_tasks


@dataclass(frozen=True)
class ExportConfig:
    """Which runs to export, and how many of their neurons."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs."""
    top: int = 100
    """Best neurons of each feature that are written; 0: all."""


def export_neurons(run_path: Path, root: Path, top: int = 100) -> Path:
    """Write the ``top`` best neurons (0: all) of every feature of a run below ``root`` and return the CSV.

    Raises
    ------
    TaskError
        When the folder holds no run, or a task of it is not finished.
    """
    results, run = load_results(run_path), load_run(run_path)
    missing = len(run.tasks) - len(finished_tasks(run_path, run.tasks))
    if missing:
        raise TaskError(
            f"{missing} of {len(run.tasks)} tasks of {run_path} are not finished, and the ranking is over all layers. "
            "Run probing_experiment.py with the same settings first."
        )
    activations = run.config.activations
    rows = f"{activations.probe_location}.{activations.activation_aggregation}.{'+'.join(run.config.experiment_type)}"
    path = root / model_name(activations) / f"{dataset_name(activations)}.{rows}.csv"
    write_ranked_neurons(results, path, top)
    write_checksums(root)
    return path


def write_checksums(root: Path) -> None:
    """Write the SHA-256 of every CSV below ``root``."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*.csv"))
    ]
    write_bytes(root / CHECKSUMS, "".join(lines).encode())


def export_command(config: ExportConfig) -> None:
    """Export every run into INTERPRETABLE_NEURONS_DIR and print the files.

    Raises
    ------
    SettingsError
        When no run is named, or ``top`` is negative.
    """
    if not config.runs or config.top < 0:
        raise SettingsError(
            "Name at least one folder of a run (results/probing/<experiment>/<model>/...), and --top of 0 or more."
        )
    for run in config.runs:
        path = export_neurons(run, read_settings().interpretable_neurons_dir, config.top)
        show(f"wrote {path}")


def main() -> int:
    """Run the command line; return the exit status."""
    return run_command(
        lambda: export_command(parse(ExportConfig, prog="python -m sparse_probing.neurons.export", description=__doc__))
    )


if __name__ == "__main__":
    sys.exit(main())
