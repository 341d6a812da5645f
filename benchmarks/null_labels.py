"""P-values under labels that mean nothing: how often they are small, and whether a correction finds false neurons.

Labels are random per document ("pure": every row of a document has its label) or per row ("mixed"). For real
activations and for synthetic heavy-tailed ones, the table compares the normal reference of Obuchowski's
variance on the logit scale (``normal``) with the p-values of this project (``ours``): the share of p-values below
1e-2, 1e-3 and 1e-4, divided by that level, and the share of cells (a layer with one draw of the labels) that
have any neuron with a corrected p-value below .05. Every cell draws its own labels, documents and neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zlib import crc32

import numpy as np
import tyro
from scipy.special import logit, ndtr

from benchmarks._real_activations import RealLayers, real_layers
from benchmarks._report import print_table
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.probes.inference.corrected_p_values import corrected_p_values
from sparse_probing.probes.inference.permutation_test import distance_from_chance, max_statistic_test
from sparse_probing.probes.inference.roc_auc_inference import RocInference, roc_inference

LEVELS = (1e-2, 1e-3, 1e-4)
POSITIVE_SHARE = 0.1


@dataclass(frozen=True)
class NullLabelsConfig:
    """Sizes."""

    stores: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Stores of activations; none given: the demo model's, mean and tokens."""
    positive_groups: tuple[int, ...] = (6, 9, 20, 60, 200)
    """Documents with positives. Every tenth document has some, or more where the store has too few."""
    cells: int = 300
    """Layers x draws of labels for each line of the table: shares near .05 have a standard error of .013."""
    synthetic_cells: int = 60
    columns: int = 128
    """Neurons of a cell, at most."""
    rows_per_document: int = 12
    n_permutations: int = 99
    seed: int = 0


def compare(config: NullLabelsConfig) -> list[dict[str, object]]:
    """Return a row per source, kind of labels and number of groups."""
    real = [source.thinned(config.rows_per_document) for source in real_layers(config.stores)]
    sources = [(source, config.cells) for source in real]
    sources += [(source, config.synthetic_cells) for source in _synthetic(config)]
    rows = []
    for source, n_cells in sources:
        has_several = len(source.documents) > source.documents.max() + 1
        for labels in ("pure", "mixed") if has_several else ("pure",):
            for k in config.positive_groups:
                if 2 * k <= source.documents.max() + 1:
                    rows.append(_line(config, source, n_cells, labels, k))
    return rows


def _line(config: NullLabelsConfig, source: RealLayers, n_cells: int, labels: str, k: int) -> dict[str, object]:
    # No line shares its random numbers with another: the same lucky labels must not count twice.
    rng = np.random.default_rng((config.seed, k, crc32(f"{source.name}/{labels}".encode())))
    small, n_tests = np.zeros((2, len(LEVELS))), 0
    found = {"raw": 0, "normal, corrected": 0, "ours, corrected": 0, "maximum statistic": 0}
    cells = 0
    for x, y, groups in _cells(config, source, n_cells, labels, k, rng):
        try:
            result = roc_inference(y, x, groups)
        except ProbeError:  # a class in one document only
            continue
        normal = _normal_p_values(result)
        small += [[(p <= level).sum() for level in LEVELS] for p in (normal, result.p_value)]
        n_tests += len(normal)
        test = max_statistic_test(distance_from_chance(x), y, groups, config.n_permutations, rng)
        found["raw"] += result.p_value.min() <= 0.05
        found["normal, corrected"] += corrected_p_values(normal).min() <= 0.05
        found["ours, corrected"] += corrected_p_values(result.p_value).min() <= 0.05
        found["maximum statistic"] += test.p_value <= 0.05
        cells += 1
    ratios = small / n_tests / LEVELS
    return {
        "activations": source.name,
        "labels": labels,
        "positive groups": k,
        "tests": f"{n_tests:,}",
        "normal, share / level": " ".join(f"{v:.2g}" for v in ratios[0]),
        "ours, share / level": " ".join(f"{v:.2g}" for v in ratios[1]),
        "cells": str(cells),
        **{name: f"{count / cells:.2f}" for name, count in found.items()},
    }


def _cells(
    config: NullLabelsConfig, source: RealLayers, n_cells: int, labels: str, k: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield activations, labels and groups: k positive documents of 10 k, or k documents with mixed rows."""
    n_documents = source.documents.max() + 1
    for cell in range(n_cells):
        layer = source.layers[cell % len(source.layers)]
        wanted = min(n_documents, round(k / POSITIVE_SHARE)) if labels == "pure" else k
        chosen = np.flatnonzero(np.isin(source.documents, rng.choice(n_documents, wanted, replace=False)))
        groups = np.unique(source.documents[chosen], return_inverse=True)[1]
        if labels == "pure":
            y = np.where(np.isin(groups, rng.choice(groups.max() + 1, min(k, groups.max()), replace=False)), 1, -1)
        else:
            y = np.where(rng.random(len(groups)) < POSITIVE_SHARE, 1, -1)
        columns = rng.choice(layer.shape[1], min(config.columns, layer.shape[1]), replace=False)
        x = layer[chosen][:, columns]
        yield x[:, x.std(axis=0) > 0], y, groups


def _normal_p_values(result: RocInference) -> np.ndarray:
    area, error = result.roc_auc, result.standard_error
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where((area > 0) & (area < 1), logit(area) * area * (1 - area) / error, np.inf)
    return np.where(area == 0.5, 1.0, 2 * ndtr(-np.abs(z)))


def _synthetic(config: NullLabelsConfig) -> Iterator[RealLayers]:
    """Yield heavy tails that are alike in documents of uneven length, and the same with a third of ties at 0."""
    rng = np.random.default_rng(config.seed)
    documents = np.repeat(np.arange(2000), rng.geometric(0.4, 2000))
    for name in ("Cauchy", "Cauchy, mostly 0"):
        shape = (len(documents), 2 * config.columns)
        x = rng.standard_cauchy((2000, shape[1]))[documents] + rng.standard_cauchy(shape)
        yield RealLayers(name, [(np.maximum(x - 3, 0) if "0" in name else x).astype(np.float32)], documents)


if __name__ == "__main__":
    print_table(compare(tyro.cli(NullLabelsConfig, description=__doc__)))
