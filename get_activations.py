"""Stage 1: run a language model over a feature data set and store the activations of every layer.

``python get_activations.py --model demo --feature_dataset NAME`` harvests; run it again after
an interruption and it goes on. ``python get_activations.py verify STORE`` checks every file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro
from rich.console import Console

from experiments.config import HarvestConfig
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.errors import CorruptStoreError

console = Console()


def harvest_command(arguments: list[str]) -> None:
    """Harvest with the settings of a command line."""
    config = tyro.cli(HarvestConfig, args=arguments, description=__doc__)
    from experiments.activations.harvest import prepare_harvest, run_harvest  # here, so that --help stays fast

    job = prepare_harvest(config)
    console.print(job.summary(), soft_wrap=True, markup=False)
    run_harvest(job)
    console.print(f"complete: {config.store_path}", soft_wrap=True, markup=False)


def verify_command(arguments: list[str]) -> None:
    """Check every file of a store against its checksum."""
    path = tyro.cli(
        tyro.conf.Positional[Path],
        args=arguments,
        prog="get_activations.py verify",
        description=verify_command.__doc__,
    )
    from experiments.activations.stores import ZarrStore  # here, so that --help stays fast

    store = ZarrStore.open(path)
    damaged = store.verify()
    for damage in damaged:
        console.print(str(damage), soft_wrap=True, markup=False)
    if damaged:
        raise CorruptStoreError(
            f"{len(damaged)} files of {path} are damaged. Run get_activations.py with the settings of the store: "
            "it writes the damaged parts again."
        )
    missing = len(store.open_parts())
    n_parts = store.plan.n_parts
    console.print(f"{path}: {n_parts - missing} of {n_parts} parts are there and intact.", soft_wrap=True, markup=False)


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["verify"]:
        return run_command(lambda: verify_command(arguments[1:]))
    return run_command(lambda: harvest_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
