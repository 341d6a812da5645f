"""Command line: ``python -m probing_datasets {list,make,describe,import}``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from probing_datasets.describe import describe
from probing_datasets.feature_dataset import dataset_names, load_feature_dataset
from probing_datasets.feature_dataset.load_and_save import dataset_folder
from probing_datasets.foundation.command_line import parse, run_command
from probing_datasets.foundation.console import Column, fit_table, open_console, show
from probing_datasets.foundation.environment import read_settings
from probing_datasets.make import COLLECTIONS, make_dataset
from probing_datasets.make_config import MakeConfig
from probing_datasets.paper_format import ImportConfig, import_dataset


@dataclass(frozen=True)
class List:
    """List the collections that can be made and the data sets in FEATURE_DATASET_DIR."""


@dataclass(frozen=True)
class Describe:
    """Show the origin of a data set, its class balance, and examples of every feature."""

    dataset: tyro.conf.Positional[str]
    """Name or path of a data set."""
    examples: int = 2
    """Examples of each feature: positive ones, or from the lowest label to the highest."""
    trust_remote_code: bool = False
    """Run Python code that the folder of the tokenizer holds. (That a data set records this setting is not enough.)"""


def command_type() -> Any:
    """Return the type of all commands; their defaults are read now (FEATURE_DATASET_DIR)."""
    make = tyro.extras.subcommand_type_from_defaults(
        {name: collection.config(name) for name, collection in COLLECTIONS.items()},  # type: ignore[arg-type]
        descriptions={name: f"Label {collection.summary}." for name, collection in COLLECTIONS.items()},
        prefix_names=False,
    )
    commands: list[Any] = [
        Annotated[List, tyro.conf.subcommand("list")],
        Annotated[make, tyro.conf.subcommand("make", description="Make a feature data set.")],
        Annotated[Describe, tyro.conf.subcommand("describe")],
        Annotated[ImportConfig, tyro.conf.subcommand("import")],
    ]
    return reduce(or_, commands)


def list_datasets() -> None:
    """Print collections and data sets."""
    root = read_settings().feature_dataset_dir
    console = open_console()
    summaries = [collection.summary for collection in COLLECTIONS.values()]
    columns = [Column("collection", list(COLLECTIONS), is_text=True), Column("labels", summaries, is_text=True)]
    console.print(fit_table(columns, console.width)[0])
    show(f"Data sets in {root}: {', '.join(dataset_names(root)) or 'none'}")


def execute(command: List | MakeConfig | Describe | ImportConfig) -> None:
    """Run one command."""
    if isinstance(command, List):
        list_datasets()
    elif isinstance(command, Describe):
        dataset = load_feature_dataset(command.dataset, read_settings().feature_dataset_dir)
        describe(dataset, command.examples, open_console(), command.trust_remote_code)
    else:
        dataset = make_dataset(command) if isinstance(command, MakeConfig) else import_dataset(command)
        describe(dataset, 0, open_console())
        folder = dataset_folder(command.output_dir, dataset.name)
        show(f"saved {folder}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run_command(lambda: execute(parse(command_type(), arguments, prog="python -m probing_datasets")))


if __name__ == "__main__":
    sys.exit(main())
