"""Stage 1: run a language model over a feature data set and store the activations of every layer.

Example: python get_activations.py --model demo --feature_dataset NAME. Run the same command again
after an interruption: it resumes the store.
"""

from __future__ import annotations

import sys

import tyro
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.console import show
from sparse_probing.commands.stores import STORE_COMMANDS
from sparse_probing.config import HarvestConfig


def harvest_command(arguments: list[str]) -> None:
    """Harvest with the settings of a command line."""
    config = tyro.cli(OmitArgPrefixes[HarvestConfig], args=arguments, description=help_text())
    from sparse_probing.activations.experiment_types import EXPERIMENTS  # here, so that --help is fast

    EXPERIMENTS[config.experiment_type](config, show)


def help_text() -> str:
    """Return the description of this script for --help, with one line for each sub-command."""
    summaries = {name: (command.__doc__ or "").partition("\n")[0] for name, command in STORE_COMMANDS.items()}
    lines = [f"  {name:<9} {summary}" for name, summary in summaries.items()]
    return "\n".join(
        [
            (__doc__ or "").strip(),
            "",
            "Commands for existing stores (a folder or a URL such as s3://bucket/store); COMMAND --help shows more:",
            *lines,
        ]
    )


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in STORE_COMMANDS:
        name, *arguments = arguments
        return run_command(lambda: tyro.cli(STORE_COMMANDS[name], args=arguments, prog=f"get_activations.py {name}"))
    return run_command(lambda: harvest_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
