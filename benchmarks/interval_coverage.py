"""Coverage of 95 % intervals of areas under the ROC curve, on real activations and on binormal scores.

Real: the documents of a store are the population, from which documents are drawn again; the true area is that of the
population. Binormal: scores of documents of several rows that share half of their variance, whose labels are those of
the document ("pure") or random per row ("mixed"). The table gives coverage and mean width of the normal interval of
Obuchowski's variance on the logit scale (``normal``; where the area is 1 it is a point) and of this project's
(``ours``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks._real_activations import RealLayers, real_layers
from benchmarks._report import print_table
from sparse_probing.probes.inference.roc_auc_inference import RocInference, roc_inference

BINS = ((0.5, 0.6), (0.7, 0.8), (0.88, 0.92), (0.94, 0.96), (0.98, 0.995))
AREAS = (0.55, 0.75, 0.9, 0.95, 0.99)
NEGATIVES = 4
"""Negative documents of each positive one."""

Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Labels (n,), scores (n, m), groups (n,) and the true areas (m,)."""


@dataclass(frozen=True)
class CoverageConfig:
    """Sizes."""

    stores: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Stores of activations; none given: the demo model's, mean and tokens."""
    positive_groups: tuple[int, ...] = (9, 20, 60, 200)
    draws: int = 20
    columns: int = 100
    """Columns of a draw, at most."""
    rows_per_group: int = 6
    seed: int = 0


def compare(config: CoverageConfig) -> list[dict[str, object]]:
    """Return a row per source, number of groups and true area."""
    rows = []
    for k in config.positive_groups:
        for labels in ("single rows", "pure", "mixed"):
            for area in AREAS:
                rows.append(_line(f"binormal, {labels}", k, area, _binormal(config, labels, k, area)))
    for source in real_layers(config.stores):
        for k in config.positive_groups:
            for low, high in BINS:
                draws = list(_real(config, source, k, low, high))
                if draws:
                    rows.append(_line(source.name, k, (low + high) / 2, iter(draws)))
    return rows


def _line(source: str, k: int, area: float, draws: Iterator[Draw]) -> dict[str, object]:
    covered: dict[str, list[np.ndarray]] = {"normal": [], "ours": []}
    widths: dict[str, list[np.ndarray]] = {"normal": [], "ours": []}
    for y, scores, groups, truth in draws:
        result = roc_inference(y, scores, groups)
        for name, (low, high) in {"normal": _normal_interval(result), "ours": (result.low, result.high)}.items():
            covered[name].append((low <= truth) & (truth <= high))
            widths[name].append(high - low)
    cells = {
        name: f"{np.concatenate(covered[name]).mean():.3f} ({np.concatenate(widths[name]).mean():.3f})"
        for name in covered
    }
    return {"scores": source, "positive groups": k, "true area": f"{area:.2f}", **cells}


def _normal_interval(result: RocInference) -> tuple[np.ndarray, np.ndarray]:
    area = np.clip(result.roc_auc, 1e-12, 1 - 1e-12)
    half = norm.ppf(0.975) * result.standard_error / (area * (1 - area))
    return expit(logit(area) - half), expit(logit(area) + half)


def _binormal(config: CoverageConfig, labels: str, k: int, area: float) -> Iterator[Draw]:
    rng = np.random.default_rng((config.seed, k))
    n_groups = k if labels == "mixed" else (1 + NEGATIVES) * k
    groups = np.repeat(np.arange(n_groups), 1 if labels == "single rows" else config.rows_per_group)
    shared = 0.0 if labels == "single rows" else 0.5
    for _ in range(config.draws):
        y = np.where(rng.random(len(groups)) < 1 / (1 + NEGATIVES), 1, -1) if labels == "mixed" else None
        y = np.where(groups < k, 1, -1) if y is None else y
        scores = np.sqrt(shared) * rng.standard_normal((n_groups, config.columns))[groups]
        scores += np.sqrt(1 - shared) * rng.standard_normal(scores.shape)
        scores += np.sqrt(2) * norm.ppf(area) * (y > 0)[:, None]
        yield y, scores, groups, np.full(config.columns, area)


def _real(config: CoverageConfig, source: RealLayers, k: int, low: float, high: float) -> Iterator[Draw]:
    """Yield columns with a true area in an interval, for a random third of the documents moved up by their own scale.

    Real features are few, so the label is random and the positives' activations are shifted by a random number of
    deviations: tails, ties and the dependence within documents stay those of the model.
    """
    rng = np.random.default_rng((config.seed, k, int(1000 * low)))
    n_documents = source.documents.max() + 1
    rows_of = np.split(np.arange(len(source.documents)), np.flatnonzero(np.diff(source.documents)) + 1)
    for draw in range(config.draws):
        layer = source.layers[draw % len(source.layers)]
        columns = rng.choice(layer.shape[1], min(config.columns, layer.shape[1]), replace=False)
        is_positive = rng.permutation(n_documents) < n_documents // 3
        label = np.where(is_positive[source.documents], 1, -1)
        values = layer[:, columns].astype(np.float64)
        shift = rng.uniform(0, 4, len(columns)) * values.std(axis=0)
        values += (label > 0)[:, None] * shift
        truth = roc_inference(label, values, source.documents).roc_auc
        kept = (truth >= low) & (truth < high)
        if not kept.any():
            continue
        drawn = np.concatenate(
            [
                rng.choice(np.flatnonzero(is_positive), k),
                rng.choice(np.flatnonzero(~is_positive), NEGATIVES * k),
            ]
        )
        rows = [rows_of[document] for document in drawn]
        groups = np.repeat(np.arange(len(drawn)), [len(part) for part in rows])
        picked = np.concatenate(rows)
        yield label[picked], values[picked][:, kept], groups, truth[kept]


if __name__ == "__main__":
    print_table(compare(tyro.cli(CoverageConfig, description=__doc__)))
