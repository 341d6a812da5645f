"""Converged reading probes against loops of Adam: CPU seconds, objectives and certificates.

One layer of a model of width 5,120 with seven classes is fitted; the layers of a model are fitted one after another, so
the seconds of forty are forty times those of one. *As written* is the loop of a common training script: every batch
collates the activations of all layers of its rows, and uses one. Its epochs are measured for a few layers in memory,
and scaled to the layers and epochs of the whole. *Tidy* takes one layer at a time from memory.

All have the objective of the loop on raw activations, with one C. The grid of 13 values on standardised activations,
which the study fits, is timed beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import tyro
from threadpoolctl import threadpool_limits

from benchmarks._report import Seconds, alternate, median_seconds, print_table, seconds
from sparse_probing.probes.one_vs_rest.adam import AdamSettings
from sparse_probing.probes.one_vs_rest.converged import fit_one_vs_rest
from sparse_probing.studies.reading.candidates import C_GRID

DECAY = 0.1


@dataclass(frozen=True)
class ReadingBenchmark:
    """Sizes of the comparison."""

    n_rows: int = 2000
    width: int = 5120
    n_classes: int = 7
    n_layers: int = 40
    """Layers to which seconds are scaled."""
    collated_layers: int = 4
    """Layers that the loop as written has in memory; the seconds of its collation are scaled to ``n_layers``."""
    epochs: int = 50
    epochs_as_written: int = 1
    """Epochs of the loop as written that are measured."""
    repeats: int = 3
    grid: bool = True
    """Time the 13 values of C on standardised activations too."""
    threads: int = 1


def planted_layers(config: ReadingBenchmark, n_layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return layers (L, n, d) float32 of correlated neurons of many scales, and the class (n,) of every row."""
    rng = np.random.default_rng(0)
    codes = np.arange(config.n_rows) % config.n_classes
    factors = rng.standard_normal((config.n_rows, 60))
    factors[:, :6] += 1.5 * rng.standard_normal((config.n_classes, 6))[codes]
    layers = np.empty((n_layers, config.n_rows, config.width), np.float32)
    for layer in layers:
        layer[:] = factors @ rng.standard_normal((60, config.width)) / np.sqrt(60)
        layer += rng.standard_normal(layer.shape, dtype=np.float32)
        layer *= np.exp(0.7 * rng.standard_normal(config.width)).astype(np.float32)
    return layers, codes


def adam_loop(layers: np.ndarray, codes: np.ndarray, layer: int, epochs: int, collate: bool) -> tuple[np.ndarray, ...]:
    """Train a layer with nn.Linear, BCELoss, Adam and ReduceLROnPlateau; return coefficients and intercepts."""
    settings = AdamSettings()
    n_classes = int(codes.max()) + 1
    everything, classes = torch.from_numpy(layers), torch.from_numpy(codes)
    random = torch.Generator().manual_seed(settings.seed)
    probe = torch.nn.Linear(layers.shape[2], n_classes)
    torch.nn.init.normal_(probe.weight, 0, settings.deviation, generator=random)
    torch.nn.init.zeros_(probe.bias)
    groups = [{"params": [probe.weight], "weight_decay": DECAY}, {"params": [probe.bias], "weight_decay": 0.0}]
    adam = torch.optim.Adam(groups, lr=settings.learning_rate, betas=settings.betas)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, factor=settings.factor, patience=0)
    for _ in range(epochs):
        total = 0.0
        batches = torch.randperm(len(codes), generator=random).split(settings.batch_rows)
        for rows in batches:
            if collate:  # what a DataLoader does with rows that hold the activations of all layers
                batch = torch.stack([everything[:, row] for row in rows.tolist()])[:, layer]
            else:
                batch = everything[layer][rows]
            adam.zero_grad()
            one_hot = torch.zeros(len(rows), n_classes).scatter_(1, classes[rows][:, None], 1)
            loss = torch.nn.BCELoss()(torch.sigmoid(probe(batch)), one_hot)
            loss.backward()
            adam.step()
            total += loss.item()
        plateau.step(total / len(batches))
    return probe.weight.detach().double().numpy(), probe.bias.detach().double().numpy()


def objective(X: np.ndarray, is_class: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> float:
    """Return the objective of the loop, with its penalty, on all rows in float64."""
    margins = np.where(is_class, 1.0, -1.0) * (X.astype(np.float64) @ coef.T + intercept)
    return float(np.logaddexp(0, -margins).mean() + DECAY / 2 * np.square(coef).sum())


def compare(config: ReadingBenchmark) -> list[dict[str, object]]:
    """Time all contenders on one layer, and return the rows of the table."""
    layers, codes = planted_layers(config, config.collated_layers)
    X = layers[0]
    is_class = codes[:, None] == np.arange(config.n_classes)
    C = 1 / (DECAY * is_class.size)
    found: dict[str, tuple[np.ndarray, ...]] = {}
    gaps: dict[str, float] = {}

    def converged() -> None:
        path = fit_one_vs_rest(X, is_class, [C])
        found["converged"], gaps["converged"] = (path.coef[0], path.intercept[0]), float(path.gap.max())

    def on_grid() -> None:
        path = fit_one_vs_rest((X - X.mean(axis=0)) / X.std(axis=0), is_class, C_GRID)
        gaps["converged, 13 values of C"] = float(path.gap.max())

    def tidy() -> None:
        found["tidy loop"] = adam_loop(layers, codes, 0, config.epochs, collate=False)

    contenders = {"converged": converged, "tidy loop": tidy}
    if config.grid:
        contenders["converged, 13 values of C"] = on_grid
    with threadpool_limits(config.threads):
        torch.set_num_threads(config.threads)
        times = alternate(contenders, config.repeats)
        both = [
            seconds(lambda collate=collate: adam_loop(layers, codes, 0, config.epochs_as_written, collate))
            for collate in (False, True)
        ]
    cpu = {name: median_seconds(of_one, "cpu") for name, of_one in times.items()}
    cpu["loop as written"] = as_written(config, both[0], both[1])
    rows: list[dict[str, object]] = []
    for name, of_layer in cpu.items():
        rows.append(
            {
                "contender": name,
                "CPU s a layer": f"{of_layer:.2f}",
                f"CPU s, {config.n_layers} layers": f"{of_layer * config.n_layers:.1f}",
                "times converged": f"{of_layer / cpu['converged']:.1f}",
                "objective": f"{objective(X, is_class, *found[name]):.6f}" if name in found else "",
                "largest gap": f"{gaps[name]:.0e}" if name in gaps else "",
            }
        )
    return rows


def as_written(config: ReadingBenchmark, tidy: Seconds, collating: Seconds) -> float:
    """Return the CPU seconds of one layer: collation costs in proportion to the layers that are collated."""
    collation = (collating.cpu - tidy.cpu) * config.n_layers / config.collated_layers
    return (tidy.cpu + max(collation, 0)) * config.epochs / config.epochs_as_written


def main() -> None:
    """Print the table."""
    print_table(compare(tyro.cli(ReadingBenchmark, description=__doc__)))


if __name__ == "__main__":
    main()
