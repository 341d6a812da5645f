"""By which training score should the best neuron be named? Orders are compared by what their choice is worth later.

Every neuron of every layer gets a logistic probe on the training rows. Each order names one neuron for each feature,
over all layers, and the probe of that neuron is measured on groups that were held out. Where a data set has a column
of corpora, each order also names a neuron on every corpus without the others: an order that finds what encodes the
feature names the same neuron twice.

``--data`` is a folder with ``natural_lang.parquet`` (text, lang, group, source), ``distribution_id.parquet`` (text,
distribution, doc), ``sentiment_reviews.parquet`` (text, label, doc) and ``en_ewt-ud-dev.conllu.zst``; those that are
missing are omitted. ``--models`` are names or folders: `demo`, MiniLM, SmolLM2. Activations are kept in ``--folder``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from scipy.stats import rankdata

import sparse_probing as sp
from benchmarks._report import print_table
from probing_datasets.feature_dataset import Aggregation, FeatureDataset
from probing_datasets.feature_dataset.probed_rows import feature_rows, probed_rows
from probing_datasets.foundation.spreadsheet_cells import csv_bytes
from sparse_probing.activations.stores import ActivationStore
from sparse_probing.probes.l2.single_neuron import fit_single_neurons
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.splits.grouped_split import grouped_stratified_split


@dataclass(frozen=True)
class OrderConfig:
    """What is compared."""

    data: Path | None = None
    """Folder of labelled data; without it only the bundled texts are used."""
    models: tuple[str, ...] = ("demo",)
    folder: Path = Path("best_neuron_order")
    """Folder of data sets and activations."""
    datasets: tuple[str, ...] = ()
    """Names of data sets; none given: all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the splits."""
    texts_per_label: int = 90
    layer_step: int = 1
    """Take every layer, every second, ..."""
    context_length: int = 64
    csv: Path | None = None
    """Write a row for every choice."""


@dataclass(frozen=True)
class Source:
    """A labelled data set."""

    collection: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    """Below ``--data``; empty: bundled."""
    aggregation: Aggregation = "mean"
    corpus_column: str = ""
    features: tuple[str, ...] = ()
    """Only these; none given: all."""


EWT_FEATURES = (
    "Tense_Past",
    "Number_Plur",
    "upos_PROPN",
    "upos_ADJ",
    "upos_NUM",
    "VerbForm_Ger",
    "dep_nsubj",
    "eos_True",
)
SOURCES: dict[str, Source] = {
    "languages": Source(
        "natural_lang_id",
        {"label_column": "lang", "group_column": "group"},
        "natural_lang.parquet",
        corpus_column="source",
    ),
    "programming": Source("programming_lang_id"),
    "corpora": Source(
        "distribution_id", {"label_column": "distribution", "group_column": "doc"}, "distribution_id.parquet"
    ),
    "sentiment": Source("sentiment", {"group_column": "doc"}, "sentiment_reviews.parquet"),
    "grammar": Source("ewt", {"rows_per_feature": 2000}, "en_ewt-ud-dev.conllu.zst", "none", features=EWT_FEATURES),
}


def scores_of_layer(X: NDArray, y: NDArray) -> dict[str, NDArray]:
    """Return the training scores (d,) of every neuron by which neurons can be ordered; larger is better."""
    X = X.astype(np.float64)
    rms = np.sqrt(np.mean(X**2))
    positive = y > 0
    n_positive, n_negative = positive.sum(), (~positive).sum()
    deviation = X.std(axis=0)
    unit = (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    raw, scaled, standardised = (fit_single_neurons(x, y) for x in (X, X / rms, unit))
    threshold = classification_metrics(y, X / rms * scaled.coef + scaled.intercept, only=("f1_score",))
    area = (rankdata(X, axis=0)[positive].sum(axis=0) - n_positive * (n_positive + 1) / 2) / n_positive / n_negative
    margins = y[:, None] * (unit * standardised.coef + standardised.intercept)
    losses = np.logaddexp(0, -margins)
    difference = np.abs(unit[positive].mean(axis=0) - unit[~positive].mean(axis=0))
    within = np.sqrt((unit[positive].var(axis=0) + unit[~positive].var(axis=0)) / 2)
    area = np.maximum(area, 1 - area)
    return {
        "F1": threshold["f1_score"],
        "ROC-AUC": area,
        # The second score decides between neurons whose areas are equal to 9 digits.
        "ROC-AUC, then mean difference": np.round(area, 9) + 1e-10 * difference,
        "ROC-AUC, then objective, standardised": np.round(area, 9) - 1e-14 * standardised.objective,
        "objective, raw": -raw.objective,
        "objective, layer / RMS": -scaled.objective,
        "objective, standardised": -standardised.objective,
        "loss, standardised": -(losses[positive].mean(axis=0) + losses[~positive].mean(axis=0)),
        "mean difference, standardised": difference,
        "d'": difference / np.where(within > 0, within, np.inf),
    }


def measure(X: NDArray, y: NDArray, X_test: NDArray, y_test: NDArray) -> dict[str, float]:
    """Return the held-out scores of the probe of one neuron (n, 1), as the studies fit it."""
    rms = np.sqrt(np.mean(X.astype(np.float64) ** 2)) or 1.0
    fit = fit_single_neurons(X / rms, y)
    values = classification_metrics(y_test, X_test / rms * fit.coef + fit.intercept, only=("f1_score", "roc_auc"))
    return {name: float(v[0]) for name, v in values.items()}


def best_of_layers(layers: list[NDArray], train: NDArray, y: NDArray) -> dict[str, tuple[int, int, int]]:
    """Return the layer and index of the neuron that each order puts first, and how many share its score."""
    tables = [scores_of_layer(layer[train], y) for layer in layers]
    best = {}
    for order in tables[0]:
        scores = np.stack([table[order] for table in tables])
        layer, neuron = np.unravel_index(np.argmax(scores), scores.shape)
        best[order] = int(layer), int(neuron), int((scores == scores.max()).sum())
    return best


def choices(
    config: OrderConfig, model: str, name: str, source: Source, dataset: FeatureDataset, store: ActivationStore
) -> Iterator[dict[str, Any]]:
    """Yield a row for every feature, seed and order: which neuron it names, and what that is worth."""
    rows = probed_rows(dataset, source.aggregation)
    corpora = dataset_corpora(config, source, dataset)
    layers = [np.asarray(store.layer(layer)) for layer in store.plan.layers[:: config.layer_step]]
    names = source.features or dataset.features
    for feature in names:
        if feature not in dataset.features or dataset.description.features[feature].kind != "binary":
            continue
        own = feature_rows(dataset, feature, rows, source.aggregation)
        y, group = own.label.astype(float), own.group
        for seed in config.seeds:
            split = grouped_stratified_split(y, group, 0.3, seed)
            train, test = own.row[split.train], own.row[split.test]
            y_test = y[split.test]
            always = 2 * np.mean(y_test > 0) / (1 + np.mean(y_test > 0))
            best = best_of_layers(layers, train, y[split.train])
            ceiling = {}
            for order, (layer, neuron, ties) in best.items():
                key = layer, neuron
                if key not in ceiling:
                    column = layers[layer][:, [neuron]]
                    ceiling[key] = measure(column[train], y[split.train], column[test], y_test)
                yield {
                    "model": model, "dataset": name, "feature": feature, "seed": seed, "corpus": "", "order": order,
                    "layer": layer, "neuron": neuron, "ties": ties, "always_yes": always, "n_layers": len(layers),
                    **ceiling[key],
                }  # fmt: skip
        if corpora is None:
            continue
        for corpus in np.unique(corpora):
            of_corpus = corpora[own.sequence] == corpus
            if min((y[of_corpus] > 0).sum(), (y[of_corpus] < 0).sum()) < 20:
                continue
            for order, (layer, neuron, ties) in best_of_layers(layers, own.row[of_corpus], y[of_corpus]).items():
                yield {
                    "model": model, "dataset": name, "feature": feature, "seed": 0, "corpus": corpus, "order": order,
                    "layer": layer, "neuron": neuron, "ties": ties,
                }  # fmt: skip


def dataset_corpora(config: OrderConfig, source: Source, dataset: FeatureDataset) -> NDArray | None:
    """Return the corpus of every sequence, found by its group; None where the source has no such column."""
    if not source.corpus_column or config.data is None:
        return None
    table = pd.read_parquet(config.data / source.file)
    group_column = source.settings["group_column"]
    corpus_of = dict(zip(table[group_column].astype(str), table[source.corpus_column], strict=True))
    return np.array([corpus_of[group] for group in dataset.sequences["group"]])


def table_of(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Summarise the choices of every order."""
    held_out, by_corpus = rows[rows["corpus"] == ""], rows[rows["corpus"] != ""]
    table = []
    for (model, order), chosen in held_out.groupby(["model", "order"], sort=False):
        same = []
        for _, pair in by_corpus[(by_corpus["model"] == model) & (by_corpus["order"] == order)].groupby("feature"):
            same += [a == b for a, b in combinations(list(zip(pair["layer"], pair["neuron"], strict=True)), 2)]
        over_seeds = chosen.groupby(["dataset", "feature"])
        repeats = (over_seeds["layer"].nunique() == 1) & (over_seeds["neuron"].nunique() == 1)
        by_dataset = chosen.groupby("dataset")
        table.append({
            "model": model, "order": order,
            "AUC": f"{by_dataset['roc_auc'].mean().mean():.3f}",
            "lowest AUC": f"{chosen['roc_auc'].min():.2f}",
            "F1": f"{by_dataset['f1_score'].mean().mean():.3f}",
            "below always yes": f"{(chosen['f1_score'] <= chosen['always_yes']).sum()} of {len(chosen)}",
            "several share the best score": f"{(chosen['ties'] > 1).sum()}",
            "same neuron for all seeds": f"{repeats.sum()} of {len(repeats)}",
            "same neuron on two corpora": f"{sum(same)} of {len(same)}",
            "in the last tenth of layers": f"{(chosen['layer'] >= .9 * chosen['n_layers']).mean():.0%}",
        })  # fmt: skip
    return table


def main(config: OrderConfig) -> None:
    """Harvest what is missing, compare the orders, and print a row for each model and order."""
    rows: list[dict[str, Any]] = []
    for model in config.models:
        tokenizer = model
        for name, source in SOURCES.items():
            if config.datasets and name not in config.datasets:
                continue
            settings = dict(source.settings)
            if source.file:
                if config.data is None or not (config.data / source.file).exists():
                    continue
                settings["source"] = str(config.data / source.file)
            dataset = sp.make_dataset(
                source.collection,
                tokenizer=tokenizer,
                context_length=config.context_length,
                texts_per_label=config.texts_per_label,
                output_dir=config.folder / "datasets" / Path(model).name,
                **settings,
            )
            store = sp.harvest(
                dataset, model=model, aggregation=source.aggregation, results_dir=config.folder / "results"
            )
            print(model, name, flush=True)
            rows += choices(config, Path(model).name, name, source, dataset, store)
    table = pd.DataFrame(rows)
    if config.csv is not None:
        config.csv.write_bytes(csv_bytes(table))
    print_table(table_of(table))


if __name__ == "__main__":
    main(tyro.cli(OrderConfig))
