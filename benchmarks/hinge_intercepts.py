"""What the intercept of an optimal hinge probe is worth, where its objective has many equally good ones.

For runs of ``optimal_sparse_probing`` with the hinge loss: the F1 on held-out groups of every probe with the lowest,
the middle and the highest intercept of the interval of equally good ones, with the intercept that is reported, and of
the logistic refit of the same neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro

from benchmarks._report import print_table
from sparse_probing.probes.metrics.classification import classification_metrics
from sparse_probing.runs.load_results import load_results
from sparse_probing.runs.planning.run_record import Run, load_run
from sparse_probing.runs.tasks.task_data import task_data

MUCH = 0.1
"""A difference of F1 that is counted."""


@dataclass(frozen=True)
class InterceptsConfig:
    """What is compared."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs of optimal_sparse_probing."""


def compare(run: Run) -> Iterator[dict[str, float]]:
    """Yield a row for every hinge probe of a run, without controls and further folds."""
    rows = load_results(run)
    rows = rows[(rows["control"] == "") & (rows["fold"] == 0)]
    hinge, refits = rows[rows["probe"] == "optimal_hinge"], rows[rows["probe"] == "logistic"]
    refit_f1 = refits.set_index(["feature", "layer", "k"])["test_f1_score"]
    for task in run.tasks.values():
        variants, _ = task_data(run, task)
        for data in (data for features in variants for data in features):
            if data.variant.control or data.fold:
                continue
            for _, row in hinge[(hinge["feature"] == data.feature) & (hinge["layer"] == task.layer)].iterrows():
                x = data.layer[np.ix_(data.test.row, row["support"])].astype(np.float64)
                low, high = row["intercept_low"], row["intercept_high"]
                intercepts = np.array([low, (low + high) / 2, high, row["intercept"]])
                scores = (x @ row["coef"])[:, None] + intercepts
                f1 = classification_metrics(data.test.label, scores, only=("f1_score",))["f1_score"]
                ends = dict(zip(("lowest", "middle", "highest", "reported"), f1.tolist(), strict=True))
                refit = float(refit_f1[data.feature, task.layer, row["k"]])
                yield {"k": row["k"], "rows": row["n_train"], "width": high - low, **ends, "refit": refit}


def summary(probes: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row for every number of training rows and k: means, and how many probes are much below their refit."""
    table = []
    for (n_train, k), rows in probes.groupby(["rows", "k"]):
        worse = {name: int((rows["refit"] - rows[name] > MUCH).sum()) for name in ("middle", "reported")}
        table.append({
            "training rows": f"{n_train:,}", "k": k, "probes": len(rows), "mean width": f"{rows['width'].mean():.2f}",
            **{f"F1, {name}": f"{rows[name].mean():.3f}" for name in ("lowest", "middle", "highest", "reported")},
            "F1, refit": f"{rows['refit'].mean():.3f}",
            f"> {MUCH} below the refit: middle": worse["middle"], "reported": worse["reported"],
        })  # fmt: skip
    return table


def main(config: InterceptsConfig) -> None:
    """Print the table of the runs."""
    print_table(summary(pd.DataFrame([row for path in config.runs for row in compare(load_run(path))])))


if __name__ == "__main__":
    main(tyro.cli(InterceptsConfig))
