"""The whole pipeline, offline, on the bundled model and texts: ``python -m sparse_probing.commands.demo``.

It does the same as the printed commands, for natural and for programming languages, and once more
for the same model with random weights: the control that matters most.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probing_datasets.foundation.command_line import parse, run_command
from probing_datasets.foundation.console import Column, fit_table, open_console, show
from probing_datasets.make_config import CollectionName, MakeConfig
from sparse_probing.config import HarvestConfig, ProbingConfig, StudyName

if TYPE_CHECKING:
    import pandas as pd

    from sparse_probing.runs.planning.run_record import Run

COLLECTIONS: tuple[CollectionName, ...] = ("natural_lang_id", "programming_lang_id")
COMMANDS = """  python -m probing_datasets make {collection}
  python get_activations.py --feature_dataset {dataset} --activation_aggregation mean
  python probing_experiment.py --feature_dataset {dataset} --activation_aggregation mean \\
      --experiment_type all_neurons    (and heuristic_sparsity_sweep --regularization 1)"""


@dataclass(frozen=True)
class DemoConfig:
    """Settings of the demo."""

    output_dir: Path = Path("demo_output")
    """Folder for data sets, activations and results."""
    model: str = "demo"
    """Model to probe."""


def demo(config: DemoConfig) -> None:
    """Run both stages for both collections; print the best neurons and write CSVs and figures."""
    # Here, after the process is prepared: these import torch and transformers, which read the environment.
    from probing_datasets.make import make_dataset
    from sparse_probing.neurons.ranked_neurons import best_neurons, write_ranked_neurons
    from sparse_probing.reporting.figures.f1_over_k import f1_over_k
    from sparse_probing.reporting.figures.save_figure import save_figure

    for collection in COLLECTIONS:
        make = MakeConfig(collection, tokenizer=config.model, output_dir=config.output_dir / "feature_datasets")
        dataset = make_dataset(make).name
        show(f"\n{collection}: what follows is what these commands do")
        show(COMMANDS.format(collection=collection, dataset=dataset))
        trained = _probe(config, dataset, "all_neurons", random_init=False)
        # Only the scores of the untrained model are shown.
        control = _probe(config, dataset, "all_neurons", random_init=True, controls=(), n_permutations=0)
        # To choose C for every k takes twenty times as long.
        sweep = _probe(config, dataset, "heuristic_sparsity_sweep", random_init=False, regularization=1.0)
        csv, png = trained.path / "ranked_neurons.csv", sweep.path / "f1_over_k.png"
        write_ranked_neurons(trained, csv)
        save_figure(f1_over_k(sweep), png)
        _print_neurons(best_neurons(trained), best_neurons(control))
        show(f"ranked neurons  {csv}\nF1 over k       {png}")


def _probe(config: DemoConfig, dataset: str, study: StudyName, random_init: bool, **settings: object) -> Run:
    """Run both stages; what is finished is not run again."""
    from sparse_probing.activations.harvest import harvest
    from sparse_probing.runs.launch import run_probing

    flags = {
        "model": config.model,
        "random_init": random_init,
        "feature_dataset": dataset,
        "activation_aggregation": "mean",
        "results_dir": config.output_dir / "results",
        "feature_dataset_dir": config.output_dir / "feature_datasets",
    }
    harvest(HarvestConfig.from_flags(**flags))
    return run_probing(
        ProbingConfig.from_flags(**flags, **settings, experiment_name="demo", experiment_type=(study,), cluster="debug")
    )


def _print_neurons(trained: pd.DataFrame, control: pd.DataFrame) -> None:
    """Print the first-ranked neuron of each feature beside the scores of the model with random weights."""
    from sparse_probing.reporting.report import TITLE_OF_NEURONS, left_out  # here: it imports matplotlib

    of_control = control.set_index("feature")[["test_roc_auc", "test_f1_score"]]
    both = trained.join(of_control.set_axis(["random_roc_auc", "random_f1"], axis=1), on="feature")
    above = (both["test_roc_auc"] > both["random_roc_auc"]) | (both["test_f1_score"] > both["random_f1"])
    names = [f"L{row.layer}.{row.neuron}" for row in both.itertuples()]
    columns = [
        Column("language", [*both["feature"], "mean"], is_text=True),
        Column("neuron", [*np.where(both["found"] & above, names, "none found"), ""], is_text=True),
    ]
    scores = {
        "F1": "test_f1_score",
        "F1 yes": "always_yes_f1_score",
        "F1 shuffled labels": "control_f1_score",
        "F1 random weights": "random_f1",
        "AUC": "test_roc_auc",
        "AUC random weights": "random_roc_auc",
    }
    for name, score in scores.items():
        columns.append(Column(name, [f"{value:.2f}" for value in (*both[score], both[score].mean())]))
    columns.append(Column("p", [*(f"{value:.0e}" for value in both["p_value_corrected"]), ""], drop_order=1))
    columns.append(Column("as good", [*(f"{value:,}" for value in both["n_as_good"]), ""], drop_order=2))
    counts = [f"{row.n_positive_test}/{row.n_test}" for row in both.itertuples()]
    columns.append(Column("n+/n", [*counts, ""], drop_order=3))
    console = open_console()
    table, omitted = fit_table(columns, console.width, TITLE_OF_NEURONS, n_summary_rows=1)
    console.print(table)
    if omitted:
        show(left_out("columns", ", ".join(omitted)))


def main() -> int:
    """Run the command line; return the exit status."""
    return run_command(lambda: demo(parse(DemoConfig, description=__doc__)))


if __name__ == "__main__":
    sys.exit(main())
