"""Stage 1: run a language model over a feature data set and store the activations of every layer.

Example: python get_activations.py --model demo --feature_dataset NAME. Run the same command again
after an interruption: it resumes the store.
"""

from __future__ import annotations

import logging
import sys

from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import parse, run_command, with_commands
from probing_datasets.foundation.console import show
from sparse_probing.commands.apply import apply_command
from sparse_probing.commands.early_checks import check_stage_one
from sparse_probing.commands.stores import STORE_COMMANDS
from sparse_probing.config import HarvestConfig, StorageConfig
from sparse_probing.config.harvest import STORES

logger = logging.getLogger(__name__)


COMMANDS = {**STORE_COMMANDS, "apply": apply_command}


def harvest_command(arguments: list[str]) -> None:
    """Harvest with the settings of a command line."""
    about = "Commands for existing stores (a folder or a URL such as s3://bucket/store) and for saved probes; "
    about += "COMMAND --help shows more:"
    summaries = {name: (command.__doc__ or "").partition("\n")[0] for name, command in COMMANDS.items()}
    description = with_commands(__doc__, about, summaries)
    config = parse(OmitArgPrefixes[HarvestConfig], arguments, description=description)
    is_default = config.storage.output_precision == StorageConfig().output_precision
    if config.experiment_type not in STORES and not is_default:
        logger.warning("--output_precision has no effect on tables: their values are float32.")
    check_stage_one(config)
    from sparse_probing.activations.experiment_types import EXPERIMENTS  # here, so that --help is fast

    EXPERIMENTS[config.experiment_type](config, show)


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        name, *arguments = arguments
        return run_command(lambda: parse(COMMANDS[name], arguments, prog=f"get_activations.py {name}"))
    return run_command(lambda: harvest_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
