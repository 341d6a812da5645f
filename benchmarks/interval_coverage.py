"""Coverage of 95 % intervals of areas under the ROC curve, on real activations and on binormal scores.

Real: the documents of a store are the population, from which documents are drawn again; the true area is that of the
population. Binormal: scores of documents of several rows that share half of their variance, whose labels are those of
the document ("pure") or random per row ("mixed"); positives have the same deviation as negatives or 1.8 times as
much. The table gives coverage and mean width of the normal interval of
Obuchowski's variance on the logit scale (``normal``; where the area is 1 it is a point) and of this project's
(``ours``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zlib import crc32

import numpy as np
import tyro
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks._real_activations import RealLayers, real_layers
from benchmarks._report import print_table
from sparse_probing.probes.inference.roc_auc_inference import RocInference, roc_inference

AREAS = (0.75, 0.9, 0.95, 0.99)
BINS = ((0.7, 0.8), (0.88, 0.92), (0.94, 0.96), (0.98, 0.995))
"""True areas that count for each of them, with real activations."""
DEVIATIONS = (1.0, 1.8)
NEGATIVES = 4
"""Negative documents of each positive one."""
PAIRS = 4000
"""From which a shift is estimated."""

Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Labels (n,), scores (n, m), groups (n,) and the true areas (m,)."""


@dataclass(frozen=True)
class CoverageConfig:
    """Sizes."""

    stores: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Stores of activations; none given: the demo model's, mean and tokens."""
    positive_groups: tuple[int, ...] = (9, 20, 60, 200)
    draws: int = 20
    columns: int = 60
    """Columns of a draw, at most."""
    rows_per_group: int = 6
    """Of documents; of real ones, at most."""
    seed: int = 0


def compare(config: CoverageConfig) -> list[dict[str, object]]:
    """Return a row per source, number of groups and true area."""
    rows = []
    for k in config.positive_groups:
        for labels in ("single rows", "pure", "mixed"):
            for deviation in DEVIATIONS:
                name = f"binormal, {labels}, deviation {deviation:g}"
                rows += _lines(name, k, _binormal(config, labels, k, deviation))
    for source in real_layers(config.stores):
        for k in config.positive_groups:
            rows += _lines(source.name, k, _real(config, source.thinned(config.rows_per_group), k))
    return rows


def _lines(source: str, k: int, draws: Iterator[Draw]) -> list[dict[str, object]]:
    """Return a row for each of ``AREAS``."""
    truths, covered, widths = [], [], []
    for y, scores, groups, truth in draws:
        result = roc_inference(y, scores, groups)
        intervals = np.stack([np.stack(_normal_interval(result)), np.stack([result.low, result.high])])
        truths.append(truth)
        covered.append((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
        widths.append(intervals[:, 1] - intervals[:, 0])
    truth, cover, width = np.concatenate(truths), np.concatenate(covered, axis=1), np.concatenate(widths, axis=1)
    rows = []
    for area, (low, high) in zip(AREAS, BINS, strict=True):
        columns = (truth >= low) & (truth < high)
        cells = {
            name: f"{cover[i, columns].mean():.3f} ({width[i, columns].mean():.3f})"
            for i, name in enumerate(("normal", "ours"))
        }
        n = np.count_nonzero(columns)
        rows.append({"scores": source, "positive groups": k, "true area": f"{area:.2f}", "intervals": n, **cells})
    return rows


def _normal_interval(result: RocInference) -> tuple[np.ndarray, np.ndarray]:
    area = np.clip(result.roc_auc, 1e-12, 1 - 1e-12)
    half = norm.ppf(0.975) * result.standard_error / (area * (1 - area))
    return expit(logit(area) - half), expit(logit(area) + half)


def _binormal(config: CoverageConfig, labels: str, k: int, deviation: float) -> Iterator[Draw]:
    rng = np.random.default_rng((config.seed, k))
    n_groups = k if labels == "mixed" else (1 + NEGATIVES) * k
    groups = np.repeat(np.arange(n_groups), 1 if labels == "single rows" else config.rows_per_group)
    shared = 0.0 if labels == "single rows" else 0.5
    truth = np.resize(AREAS, config.columns)
    for _ in range(config.draws):
        y = np.where(rng.random(len(groups)) < 1 / (1 + NEGATIVES), 1, -1) if labels == "mixed" else None
        y = np.where(groups < k, 1, -1) if y is None else y
        scores = np.sqrt(shared) * rng.standard_normal((n_groups, config.columns))[groups]
        scores += np.sqrt(1 - shared) * rng.standard_normal(scores.shape)
        shifted = deviation * scores + np.sqrt(1 + deviation**2) * norm.ppf(truth)
        yield y, np.where((y > 0)[:, None], shifted, scores), groups, truth


def _real(config: CoverageConfig, source: RealLayers, k: int) -> Iterator[Draw]:
    """Yield columns in which a random third of the documents is moved up, to a true area near one of `AREAS`.

    Real features are few, so the label is random and the positives' activations are shifted: tails, ties and the
    dependence within documents stay those of the model.
    """
    rng = np.random.default_rng((config.seed, k, crc32(source.name.encode())))
    n_documents = source.documents.max() + 1
    rows_of = np.split(np.arange(len(source.documents)), np.flatnonzero(np.diff(source.documents)) + 1)
    for draw in range(config.draws):
        layer = source.layers[draw % len(source.layers)]
        columns = rng.choice(layer.shape[1], min(config.columns, layer.shape[1]), replace=False)
        is_positive = rng.permutation(n_documents) < n_documents // 3
        label = np.where(is_positive[source.documents], 1, -1)
        values = layer[:, columns].astype(np.float64)
        # The shift that gives an area is a quantile of the differences of pairs.
        pairs = [rng.choice(np.flatnonzero(label == sign), PAIRS) for sign in (-1, 1)]
        differences = np.sort(values[pairs[0]] - values[pairs[1]], axis=0)
        wanted = (np.resize(AREAS, len(columns)) * PAIRS).astype(np.int64)
        values += (label > 0)[:, None] * differences[wanted, np.arange(len(columns))]
        truth = roc_inference(label, values, source.documents).roc_auc
        drawn = np.concatenate(
            [
                rng.choice(np.flatnonzero(is_positive), k),
                rng.choice(np.flatnonzero(~is_positive), NEGATIVES * k),
            ]
        )
        rows = [rows_of[document] for document in drawn]
        groups = np.repeat(np.arange(len(drawn)), [len(part) for part in rows])
        picked = np.concatenate(rows)
        yield label[picked], values[picked], groups, truth


if __name__ == "__main__":
    print_table(compare(tyro.cli(CoverageConfig, description=__doc__)))
