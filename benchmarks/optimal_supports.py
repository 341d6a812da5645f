"""What proved supports are worth: against top-k rankings, an L1 path and the best of 50 pre-selected neurons.

Takes finished runs of ``optimal_sparse_probing`` over whole layers. Every support, however it was found, gets
the same class-weighted objective and the same logistic refit; F1 and ROC-AUC are those of held-out groups.
The probe that the search itself reports is beside them.
Differences are means over features and layers, with intervals that draw whole features again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks._report import print_table
from sparse_probing.probes.inference.group_bootstrap import group_bootstrap
from sparse_probing.probes.l1.l1_path import fit_l1_path
from sparse_probing.probes.l1.path_following import SparsePath
from sparse_probing.probes.l2.logistic import fit_nested_top_k, nested_scores
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.probes.optimal.branch_and_bound.solver import branch_and_bound
from sparse_probing.probes.optimal.problem import SparseProblem
from sparse_probing.probes.optimal.result import Limits
from sparse_probing.probes.optimal.support_fit import fit_support
from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.runs.planning.run_record import Run, load_run
from sparse_probing.runs.tasks.published_results import ROWS, finished_tasks, task_folder
from sparse_probing.runs.tasks.task_data import task_data
from sparse_probing.studies.base.feature_data import SelectedNeurons
from sparse_probing.studies.base.result_rows import read_rows
from sparse_probing.studies.optimal.candidates import Candidates

FILTER = 50
MEASURES = ("f1_score", "roc_auc")
AS_FOUND = "optimal, own probe"
"""The probe that the search reports, with its own coefficients and intercept, in place of a logistic refit."""
TIE = 1e-12
Supports = dict[str, NDArray]
"""(k,) neurons, by the method that found them."""


@dataclass(frozen=True)
class SupportsConfig:
    """What is compared."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of optimal_sparse_probing."""
    ks: tuple[int, ...] = (1, 2, 3, 5, 8)
    limit: int = 0
    """Compare so many features and layers of each run; 0: all."""


def compare(config: SupportsConfig) -> pd.DataFrame:
    """Return a row for every feature, layer, k and method."""
    rows = [row for path in config.runs for row in _rows_of_run(load_run(path), config)]
    return pd.DataFrame(rows)


def _rows_of_run(run: Run, config: SupportsConfig) -> Iterator[dict[str, object]]:
    found = read_rows([task_folder(run.path, key) / ROWS for key in finished_tasks(run.path, run.tasks)])
    found = found[found["lower_bound"].notna() & (found["control"] == "") & (found["fold"] == 0)]
    known = dict(islice(found.groupby(["feature", "layer"]), config.limit or None))
    bar = tqdm(total=len(known), disable=None)
    for task in run.tasks.values():
        variants, _ = task_data(run, task)
        for data in (data for features in variants for data in features):
            place = (data.feature, task.layer)
            if data.variant.control or data.fold or place not in known:
                continue
            rows = known.pop(place)
            chosen = Candidates(run.config, data, data.select())
            sparse = chosen.sparse_problem(run.config.optimal.osp_ridge)
            finders = _finders(chosen.neurons, sparse, max(config.ks))
            bar.update()
            for k, own in ((k, rows[rows["k"] == k]) for k in config.ks):
                if len(own):
                    about = {
                        "feature": data.feature,
                        "layer": task.layer,
                        "k": k,
                        "status": own["proof_status"].iloc[0],
                    }
                    supports = {"optimal": np.asarray(own["support"].iloc[0])}
                    supports |= {name: find(k) for name, find in finders.items()}
                    yield from (about | row for row in _measured(chosen.neurons, sparse, supports))
                    yield about | {
                        "method": AS_FOUND,
                        "excess": 0.0,
                        **{measure: float(own[f"test_{measure}"].iloc[0]) for measure in MEASURES},
                    }


def _finders(neurons: SelectedNeurons, sparse: SparseProblem, most: int) -> dict[str, Callable[[int], NDArray]]:
    """Return what each other method gives for k neurons."""
    x, y, rng = neurons.x_train, neurons.y_train, np.random.default_rng(0)
    n = min(FILTER, len(neurons.indices))
    ranked = {name: top_neurons(rank_neurons(x, y, name, rng), n) for name in ("mean_dif", "f_stat")}
    few = np.sort(ranked["mean_dif"])
    filtered = sparse.restricted(few)
    path = fit_l1_path(x, y, max_support=4 * most)
    return {
        f"best of {FILTER}": lambda k: few[np.array(branch_and_bound(filtered, k, Limits()).support)],
        "mean_dif": lambda k: ranked["mean_dif"][:k],
        "f_stat": lambda k: ranked["f_stat"][:k],
        "l1": partial(_of_l1_path, path, x),
    }


def _of_l1_path(path: SparsePath, x: NDArray, k: int) -> NDArray:
    """Return the k largest coefficients of the sparsest probe of a path that has as many, or all of its densest one."""
    enough = [f for f in path.fits if len(f.support) >= k]  # none where few neurons separate the classes
    fit = min(enough or path.fits, key=lambda f: len(f.support) if enough else -len(f.support))
    size = np.abs(fit.coef) * x[:, fit.support].std(axis=0, dtype=np.float64)
    return fit.support[np.argsort(-size, kind="stable")[:k]]


def _measured(neurons: SelectedNeurons, sparse: SparseProblem, supports: Supports) -> Iterator[dict[str, object]]:
    objectives = {name: fit_support(sparse, np.sort(s)).objective for name, s in supports.items()}
    for name, support in supports.items():
        fits = fit_nested_top_k(neurons.x_train[:, support], neurons.y_train, [len(support)])
        values = classification_metrics(neurons.y_test, nested_scores(fits, neurons.x_test[:, support]), only=MEASURES)
        yield {
            "method": name,
            "excess": objectives[name] / objectives["optimal"] - 1,
            **{measure: float(values[measure][0]) for measure in MEASURES},
        }


def summary(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row for every k and method: means, and differences from the optimal supports."""
    rows = []
    for (k, method), own in table.groupby(["k", "method"], sort=False):
        best = table[(table["k"] == k) & (table["method"] == "optimal")]
        row = {"k": k, "method": method, "n": len(own), "proved": int((own["status"] == "proved").sum())}
        row |= {name: f"{own[name].mean():.3f}" for name in MEASURES}
        if method != "optimal":
            row |= {f"optimal - it, {name}": _difference(best, own, name) for name in MEASURES}
            row |= {f"wins/ties/losses, {name}": _wins(best, own, name) for name in MEASURES}
            row["excess %, median (max)"] = f"{100 * own['excess'].median():.2f} ({100 * own['excess'].max():.1f})"
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name, "") for name in names} for row in rows]


def _difference(best: pd.DataFrame, own: pd.DataFrame, measure: str) -> str:
    values = best[measure].to_numpy() - own[measure].to_numpy()
    features = pd.factorize(own["feature"])[0]
    if features.max() < 4:
        return f"{values.mean():+.3f}"  # too few features for an interval
    interval = group_bootstrap(lambda drawn: values[drawn].mean(), features, np.random.default_rng(0))
    return f"{values.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _wins(best: pd.DataFrame, own: pd.DataFrame, measure: str) -> str:
    values = best[measure].to_numpy() - own[measure].to_numpy()
    return f"{(values > TIE).sum()}/{(np.abs(values) <= TIE).sum()}/{(values < -TIE).sum()}"


def main(config: SupportsConfig) -> int:
    """Print the table of the comparison."""
    print_table(summary(compare(config)))
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(SupportsConfig, description=__doc__)))
