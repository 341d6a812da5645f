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
from sparse_probing.config import HarvestConfig, OnlineConfig, StorageConfig
from sparse_probing.config.harvest import STORES

logger = logging.getLogger(__name__)


ONLINE = "online_probes"

COMMANDS = {**STORE_COMMANDS, "apply": apply_command}


def harvest_command(arguments: list[str]) -> None:
    """Harvest with the settings of a command line."""
    about = f"Probes that are trained while the model runs: --experiment_type {ONLINE} (with --help for its flags).\n"
    about += "Commands for existing stores (a folder or a URL such as s3://bucket/store) and for saved probes; "
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


def online_command(arguments: list[str]) -> None:
    """Train probes while the model runs, with the settings of a command line."""
    prog = f"get_activations.py --experiment_type {ONLINE}"
    config = parse(OmitArgPrefixes[OnlineConfig], arguments, description=OnlineConfig.__doc__, prog=prog)
    check_stage_one(config)
    from sparse_probing.online.command import train_command  # here, so that --help is fast

    train_command(config, show)


def is_online(arguments: list[str]) -> bool:
    """Whether a command line has ``--experiment_type online_probes``.

    Examples
    --------
    >>> is_online(["--model", "demo", "--experiment-type", "online_probes"]), is_online(["--experiment_type=x"])
    (True, False)
    """
    flags = "\0".join(arguments).replace("--experiment-type", "--experiment_type").replace("=", "\0").split("\0")
    pairs = zip(flags, flags[1:], strict=False)
    return ("--experiment_type", ONLINE) in pairs


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        name, *arguments = arguments
        return run_command(lambda: parse(COMMANDS[name], arguments, prog=f"get_activations.py {name}"))
    command = online_command if is_online(arguments) else harvest_command
    return run_command(lambda: command(arguments))


if __name__ == "__main__":
    sys.exit(main())
