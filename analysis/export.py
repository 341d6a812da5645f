"""Ranked neurons for others to download: ``python -m analysis.export RUN_FOLDER ...``.

Writes ``<INTERPRETABLE_NEURONS_DIR>/<model>/<data set>.<rows>.csv`` for every run and
renews ``SHA256SUMS``, which ``sha256sum --check`` reads.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import tyro
from rich.console import Console

from analysis.load_results import load_results
from analysis.neurons import write_ranked_neurons
from experiments.cluster.run import load_run
from probing_datasets.foundation.atomic_files import write_bytes
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.settings import read_settings

CHECKSUMS = "SHA256SUMS"


def export_neurons(run_path: Path, root: Path) -> Path:
    """Write the ranked neurons of a run below ``root`` and return the CSV.

    Raises
    ------
    TaskError
        When the folder holds no run, or no task of it is finished.
    """
    results = load_results(run_path)
    config = load_run(run_path).config
    path = (
        root / config.model_name / f"{config.dataset_name}.{config.probe_location}.{config.activation_aggregation}.csv"
    )
    write_ranked_neurons(results, path)
    write_checksums(root)
    return path


def write_checksums(root: Path) -> None:
    """Write the SHA-256 of every CSV below ``root``."""
    lines = [f"{_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in sorted(root.rglob("*.csv"))]
    write_bytes(root / CHECKSUMS, "".join(lines).encode())


def damaged_files(root: Path) -> list[str]:
    """Return the names of CSVs that are missing or do not have their recorded checksum."""
    recorded = [line.split("  ", 1) for line in (root / CHECKSUMS).read_text().splitlines()]
    return [name for digest, name in recorded if not (root / name).is_file() or _sha256(root / name) != digest]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _export(runs: tuple[Path, ...]) -> None:
    for run in runs:
        Console().print(f"wrote {export_neurons(run, read_settings().interpretable_neurons_dir)}", soft_wrap=True)


def main() -> int:
    """Run the command line; return the exit status."""
    return run_command(
        lambda: _export(
            tyro.cli(tyro.conf.Positional[tuple[Path, ...]], prog="python -m analysis.export", description=__doc__)
        )
    )


if __name__ == "__main__":
    sys.exit(main())
