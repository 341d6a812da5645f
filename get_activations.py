"""Stage 1: run a language model over a feature data set and store the activations of every layer.

``python get_activations.py --model demo --feature_dataset NAME`` harvests; run it again after
an interruption and it goes on.

What stands is looked after by ``verify STORE`` (every checksum), ``describe STORE``, ``convert SOURCE
DESTINATION`` (another encoding or precision) and ``merge SOURCE... DESTINATION``; a store is a
folder or a URL such as ``s3://bucket/store``.
"""

from __future__ import annotations

import sys
from functools import partial

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import run_command
from sparse_probing.config import HarvestConfig

console = Console()

STORE_COMMAND_NAMES = ("verify", "describe", "convert", "merge")


def harvest_command(arguments: list[str]) -> None:
    """Harvest with the settings of a command line."""
    config = tyro.cli(OmitArgPrefixes[HarvestConfig], args=arguments, description=__doc__)
    from sparse_probing.activations.experiment_types import EXPERIMENTS  # here, so that --help stays fast

    EXPERIMENTS[config.experiment_type](config, partial(console.print, soft_wrap=True, markup=False))


def store_command(name: str, arguments: list[str]) -> None:
    """Verify, describe, convert or merge stores."""
    from sparse_probing.activations.commands import STORE_COMMANDS  # here, so that --help stays fast

    tyro.cli(STORE_COMMANDS[name], args=arguments, prog=f"get_activations.py {name}")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in STORE_COMMAND_NAMES:
        return run_command(lambda: store_command(arguments[0], arguments[1:]))
    return run_command(lambda: harvest_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
