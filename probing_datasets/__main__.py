"""Command line: ``python -m probing_datasets {list,make,describe}``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from probing_datasets.config import MakeConfig
from probing_datasets.feature_dataset import FeatureDataset, dataset_names, load_feature_dataset
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.settings import read_settings
from probing_datasets.make import COLLECTIONS, make_dataset
from probing_datasets.tokenization import load_tokenizer

console = Console()


@dataclass(frozen=True)
class List:
    """List the collections that can be made and the data sets in FEATURE_DATASET_DIR."""


@dataclass(frozen=True)
class Describe:
    """Show where a data set came from, its class balance, and examples of every feature."""

    dataset: tyro.conf.Positional[str]
    """Name or path of a data set."""
    examples: int = 2
    """Positive examples of each feature."""


Command = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[MakeConfig, tyro.conf.subcommand("make", description="Make a feature data set.")]
    | Annotated[Describe, tyro.conf.subcommand("describe")]
)


def list_datasets() -> None:
    """Print collections and data sets."""
    root = read_settings().feature_dataset_dir
    console.print("Collections:", ", ".join(COLLECTIONS))
    console.print(f"Data sets in {root}:", ", ".join(dataset_names(root)) or "none", markup=False)


def describe(dataset: FeatureDataset, examples: int) -> None:
    """Print the description of a data set and examples with the probed token marked."""
    d = dataset.description
    console.print(f"[bold]{d.name}[/bold]: {d.n_sequences:,} sequences, {d.n_tokens:,} tokens,", end=" ")
    console.print(f"{len(set(dataset.group_codes)):,} groups, context {d.context_length}, tokenizer {d.tokenizer}")
    console.print(f"source {d.source['name']}, licence {d.source['licence'] or 'not given'}, seed {d.seed}")
    for note in d.dropped:
        console.print(f"[yellow]note:[/yellow] {note}")
    table = Table("feature", "kind", "rows", "counts", "examples (the probed token between ⟦⟧)")
    tokenizer = load_tokenizer(d.tokenizer, d.options.get("revision")) if examples else None
    for name, info in d.features.items():
        counts = ", ".join(f"{label}: {n:,}" for label, n in info.counts.items())
        shown = [_example(dataset, tokenizer, name, i) for i in range(examples)] if tokenizer else []
        table.add_row(escape(name), info.kind, f"{info.stop - info.start:,}", counts, "\n".join(filter(None, shown)))
    console.print(table)


def _example(dataset: FeatureDataset, tokenizer, feature: str, index: int) -> str:
    probes = dataset.feature_probes(feature)
    positives = (probes.label == probes.label.max()).nonzero()[0]
    if index >= len(positives):
        return ""
    chosen = positives[index * len(positives) // (index + 1) if index else 0]
    (tokens,) = dataset.tokens(probes.sequence[[chosen]])
    at = int(probes.position[chosen])
    before = tokenizer.decode(tokens[max(dataset.description.n_prefix, at - 8) : at])
    after = tokenizer.decode(tokens[at + 1 : at + 5])
    return escape(f"{before}⟦{tokenizer.decode(tokens[at : at + 1])}⟧{after}".replace("\n", "⏎"))


def _execute(command: List | MakeConfig | Describe) -> None:
    if isinstance(command, List):
        list_datasets()
    elif isinstance(command, MakeConfig):
        dataset = make_dataset(command)
        describe(dataset, examples=0)
        console.print(f"saved {command.output_dir / dataset.name}", soft_wrap=True, markup=False)
    else:
        describe(load_feature_dataset(command.dataset, read_settings().feature_dataset_dir), command.examples)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run_command(lambda: _execute(tyro.cli(Command, args=arguments, prog="python -m probing_datasets")))


if __name__ == "__main__":
    sys.exit(main())
