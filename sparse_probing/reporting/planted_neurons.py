"""Compare rankings by the planted neurons that they find.

``python -m sparse_probing.reporting.planted_neurons --n_trials 50`` repeats the synthetic study of
Gurnee et al. (2023): Gaussian pre-activations, of which a few are
shifted by the label, go through a GELU; a ranking is scored by the share of the planted
neurons among its first k. Every trial draws new sizes, a new shift and a new class balance.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr
from tqdm import tqdm

from probing_datasets.foundation.command_line import parse, run_command
from probing_datasets.foundation.console import Column, fit_table, open_console, show
from probing_datasets.foundation.environment import read_settings
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.files.atomic_files import write_bytes, write_json
from probing_datasets.foundation.provenance import provenance
from probing_datasets.foundation.spreadsheet_cells import csv_bytes
from sparse_probing.config import RankingName
from sparse_probing.probes.rankings import rank_neurons
from sparse_probing.probes.rankings.top_neurons import top_neurons
from sparse_probing.reporting.figures.planted_neurons import planted_neurons
from sparse_probing.reporting.figures.save_figure import save_figure

FEWEST_ROWS = 500
WIDTHS = tuple(50 * 2**i for i in range(3, 8))


@dataclass(frozen=True)
class FeatureSelectionConfig:
    """Settings of the synthetic study."""

    n_trials: int = 50
    """Random layers."""
    rankings: tuple[RankingName, ...] = get_args(RankingName)
    """Rankings that are compared."""
    most_rows: int = 30_000
    """Largest number of rows of a layer (500 at least)."""
    widest: int = WIDTHS[-1]
    """Largest number of neurons of a layer."""
    seed: int = 0
    output_dir: Path = field(default_factory=lambda: read_settings().results_dir / "feature_selection")
    """Folder of the table and the figure."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        if self.n_trials < 1 or not self.rankings or self.seed < 0:
            raise SettingsError("--n_trials must be at least 1, --seed at least 0, and --rankings name one or more.")
        if self.most_rows < FEWEST_ROWS or self.widest < WIDTHS[0]:
            raise SettingsError(f"--most_rows must be at least {FEWEST_ROWS}, and --widest at least {WIDTHS[0]}.")


@dataclass(frozen=True)
class Layer:
    """A synthetic layer and its planted neurons."""

    activations: NDArray[np.float32]
    """(n, d)"""
    labels: NDArray[np.float64]
    """(n,) -1/+1"""
    support: NDArray[np.int64]
    """Neurons that the label shifts."""
    shift: float
    """Standard deviations of the pre-activation, up for +1 and down for -1."""


def synthetic_layer(n: int, d: int, k: int, shift: float, positives: float, rng: np.random.Generator) -> Layer:
    """Return a layer with planted neurons.

    Parameters
    ----------
    n, d : int
        Rows and neurons.
    k : int
        Neurons that the label shifts.
    shift : float
        Of their pre-activations, in standard deviations.
    positives : float
        Share of the rows that have the label +1.
    rng : numpy.random.Generator
    """
    labels = np.full(n, -1.0)
    labels[rng.choice(n, max(2, round(n * positives)), replace=False)] = 1
    support = rng.choice(d, k, replace=False)
    x = rng.standard_normal((n, d), dtype=np.float32)
    x[:, support] += (shift * labels[:, None]).astype(np.float32)
    return Layer(x * ndtr(x), labels, support, shift)


def run_trial(config: FeatureSelectionConfig, trial: int) -> list[dict[str, float | str]]:
    """Draw a layer and return, for every ranking, the share of the planted neurons that it finds."""
    rng = np.random.default_rng((config.seed, trial))
    n = int(_log_uniform(rng, FEWEST_ROWS, config.most_rows))
    d = int(rng.choice([width for width in WIDTHS if width <= config.widest]))
    k, shift, positives = int(rng.integers(2, 20)), _log_uniform(rng, 0.05, 5), _log_uniform(rng, 0.01, 0.5)
    layer = synthetic_layer(n, d, k, shift, positives, rng)
    drawn = {"trial": trial, "n": n, "d": d, "k": k, "shift": shift, "positives": positives}
    rows = []
    for ranking in config.rankings:
        start = time.perf_counter()
        scores = rank_neurons(layer.activations, layer.labels, ranking, rng)
        seconds = time.perf_counter() - start
        share = np.isin(layer.support, top_neurons(scores, len(layer.support))).mean().item()
        rows.append({**drawn, "ranking": ranking, "found": share, "seconds": seconds})
    return rows


def run_study(config: FeatureSelectionConfig) -> pd.DataFrame:
    """Run all trials and write ``trials.csv``, ``planted_neurons.png`` and ``run.json`` into the output folder."""
    bar = tqdm(range(config.n_trials), desc="trials", disable=None)
    trials = pd.DataFrame([row for trial in bar for row in run_trial(config, trial)])
    write_bytes(config.output_dir / "trials.csv", csv_bytes(trials))
    save_figure(planted_neurons(trials), config.output_dir / "planted_neurons.png")
    settings = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(config).items()}
    write_json(config.output_dir / "run.json", {"config": settings, "versions": provenance()})
    return trials


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _print_shares(trials: pd.DataFrame) -> None:
    shares: dict[str, list[str]] = {name: [] for name in ("all trials", "shift < 0.5", "shift >= 0.5")}
    seconds: list[str] = []
    rankings = list(trials.groupby("ranking", sort=False))
    for _, rows in rankings:
        strong = rows["shift"] >= 0.5
        for cells, chosen in zip(shares.values(), (rows, rows[~strong], rows[strong]), strict=True):
            cells.append(f"{chosen['found'].mean():.3f}")
        seconds.append(f"{rows['seconds'].median():.3f}")
    columns = [Column("ranking", [name for name, _ in rankings], is_text=True)]
    columns += [Column(name, cells) for name, cells in shares.items()] + [Column("median seconds", seconds)]
    console = open_console()
    table, _ = fit_table(columns, console.width, "Share of the planted neurons among the first k, mean over trials")
    console.print(table)


def main() -> int:
    """Run the command line; return the exit status."""

    def command() -> None:
        config = parse(FeatureSelectionConfig, description=__doc__)
        trials = run_study(config)
        _print_shares(trials)
        show(f"wrote {config.output_dir}")

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
