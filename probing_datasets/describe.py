"""Print a data set: origin, class balance, and examples with the probed token marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.probed_rows import probed_rows
from probing_datasets.foundation.console import Column, fit_table
from probing_datasets.foundation.printable import printable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENS_BEFORE, TOKENS_AFTER = 8, 4


def describe(dataset: FeatureDataset, examples: int, console: Console, trust_remote_code: bool = False) -> None:
    """Print the origin of a data set, its class balance, and examples of every feature."""
    d = dataset.description
    lines = [
        f"{d.name}: {d.n_sequences:,} sequences, {d.n_tokens:,} tokens, {len(set(dataset.group_codes)):,} groups, "
        f"context {d.context_length}, tokenizer {d.tokenizer}",
        f"source {d.source['name']}, licence {d.source['licence'] or 'not given'}, seed {d.seed}",
        sharing(dataset),
        *(f"note: {note}" for note in d.dropped),
    ]
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)
    balances: list[str] = []
    for name, info in d.features.items():
        if info.kind == "regression":
            labels = dataset.feature_probes(name).label
            balances.append(f"{labels.min():.3g} to {labels.max():.3g}, mean {labels.mean():.3g}")
        else:
            parts = (f"{info.label_name(label)}: {n:,} ({n / info.n_rows:.0%})" for label, n in info.counts.items())
            balances.append(", ".join(parts))
    infos = d.features.values()
    columns = [
        Column("feature", list(d.features), is_text=True),
        Column("kind", [info.kind for info in infos], is_text=True),
        Column("rows", [f"{info.n_rows:,}" for info in infos]),
        Column("balance", balances, is_text=True),
    ]
    if examples:
        tokenizer = load_tokenizer(d.tokenizer, d.options.get("revision"), trust_remote_code)
        shown: list[str] = []
        for name in d.features:
            rows = _rows_to_show(dataset, name, examples)
            shown.append("\n".join(printable(_example(dataset, tokenizer, name, row)) for row in rows))
        columns.append(Column("examples (the probed token between ⟦⟧)", shown, is_text=True))
    console.print(fit_table(columns, console.width)[0])


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


def _example(dataset: FeatureDataset, tokenizer: PreTrainedTokenizerFast, feature: str, row: int) -> str:
    info, probes = dataset.description.features[feature], dataset.feature_probes(feature)
    (tokens,) = dataset.tokens(probes.sequence[[row]])
    position = int(probes.position[row])
    parts = (
        tokens[max(dataset.description.n_prefix, position - TOKENS_BEFORE) : position],
        tokens[position : position + 1],
        tokens[position + 1 : position + 1 + TOKENS_AFTER],
    )
    before, probed, after = (tokenizer.decode(ids) for ids in parts)
    label = ""
    if info.kind == "regression":
        label = f"{probes.label[row]:.3g}: "
    elif info.kind == "multiclass":
        label = f"{info.label_name(f'{probes.label[row]:g}')}: "
    return f"{label}{before}⟦{probed}⟧{after}".replace("\n", "⏎")
