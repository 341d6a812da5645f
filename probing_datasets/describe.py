"""Print a data set: origin, class balance, and examples with the probed token marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import probed_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENS_BEFORE, TOKENS_AFTER = 8, 4


def describe(dataset: FeatureDataset, examples: int, console: Console, trust_remote_code: bool = False) -> None:
    """Print the origin of a data set, its class balance, and examples of every feature."""
    d = dataset.description
    console.print(f"[bold]{d.name}[/bold]: {d.n_sequences:,} sequences, {d.n_tokens:,} tokens,", end=" ")
    console.print(f"{len(set(dataset.group_codes)):,} groups, context {d.context_length}, tokenizer {d.tokenizer}")
    console.print(f"source {d.source['name']}, licence {d.source['licence'] or 'not given'}, seed {d.seed}")
    console.print(sharing(dataset))
    for note in d.dropped:
        console.print(f"[yellow]note:[/yellow] {escape(note)}")
    examples_column = ["examples (the probed token between ⟦⟧)"] if examples else []
    table = Table(Column("feature", overflow="fold"), "kind", "rows", "balance", *examples_column)
    tokenizer = load_tokenizer(d.tokenizer, d.options.get("revision"), trust_remote_code) if examples else None
    for name, info in d.features.items():
        rows = _rows_to_show(dataset, name, examples) if examples else []
        shown = ["\n".join(_example(dataset, tokenizer, name, row) for row in rows)] if examples else []
        if info.kind == "regression":
            labels = dataset.feature_probes(name).label
            balance = f"{labels.min():.3g} to {labels.max():.3g}, mean {labels.mean():.3g}"
        else:
            balance = ", ".join(
                f"{info.label_name(label)}: {n:,} ({n / info.n_rows:.0%})" for label, n in info.counts.items()
            )
        table.add_row(escape(name), info.kind, f"{info.n_rows:,}", escape(balance), *map(escape, shown))
    console.print(table)


def sharing(dataset: FeatureDataset) -> str:
    """Return a sentence on how many positions the features share: each position is stored only once."""
    n_labels = sum(info.n_rows for info in dataset.description.features.values())
    n_rows = len(probed_rows(dataset, "none"))
    return f"{n_labels:,} labels on {n_rows:,} positions: shared positions save {1 - n_rows / n_labels:.0%} of the rows"


def _rows_to_show(dataset: FeatureDataset, feature: str, n: int) -> np.ndarray:
    """Return rows evenly spread: over the positives when binary, otherwise from the lowest label to the highest."""
    label = dataset.feature_probes(feature).label
    if dataset.description.features[feature].kind == "binary":
        rows = np.flatnonzero(label == 1)
    else:
        rows = np.argsort(label, kind="stable")
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows)), dtype=np.int64))]


def _example(dataset: FeatureDataset, tokenizer: PreTrainedTokenizerFast | None, feature: str, row: int) -> str:
    info, probes = dataset.description.features[feature], dataset.feature_probes(feature)
    (tokens,) = dataset.tokens(probes.sequence[[row]])
    position = int(probes.position[row])
    parts = (
        tokens[max(dataset.description.n_prefix, position - TOKENS_BEFORE) : position],
        tokens[position : position + 1],
        tokens[position + 1 : position + 1 + TOKENS_AFTER],
    )
    before, probed, after = (tokenizer.decode(ids) if tokenizer else "" for ids in parts)
    label = ""
    if info.kind == "regression":
        label = f"{probes.label[row]:.3g}: "
    elif info.kind == "multiclass":
        label = f"{info.label_name(f'{probes.label[row]:g}')}: "
    return f"{label}{before}⟦{probed}⟧{after}".replace("\n", "⏎")
