"""Probes that are trained while the model runs, against the model alone and against a small tool that does the same.

Four claims, each a table:

- ``cost``: CPU seconds, paired batch by batch: every batch is run by all contenders before the next one. *no-op* are
  hooks at the same places that do nothing; *bare* is the Hugging Face base model; *ours* runs the batch and keeps the
  pooled rows; *peer* is `benchmarks._online_peer`, on the same batches and without its early stopping, which would
  end its work. *Exact fits* are those of all places and label sets at one C, after the last batch.
- ``accuracy``: ours and the peer's flow as its README shows it (batches of 8, early stopping), on the same test rows.
- ``early_stopping``: probes that end when they stop learning, against those that read all texts.
- ``memory``: the peak of the resident memory of a run in a new process, above the loaded model and data set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import datasets
import numpy as np
import torch
import tyro
from threadpoolctl import threadpool_limits

from benchmarks._memory import resident_memory, resident_now, resident_peak
from benchmarks._online_peer import PeerRunner
from benchmarks._online_texts import GERMAN, LANGUAGE, ROMANCE, windows_of_languages
from benchmarks._report import Contender, Seconds, median_ratio, print_table, seconds
from sparse_probing.activations.model_pass.batches import Batch
from sparse_probing.config import OnlineConfig
from sparse_probing.models import LanguageModel
from sparse_probing.online.fit_rows import RowFits
from sparse_probing.online.learners.rows import KeptRows
from sparse_probing.online.online_run import OnlineRun
from sparse_probing.online.pass_over_texts import blocks_of, rows_of_batches, text_batches
from sparse_probing.online.places import Place, bytes_of_rows
from sparse_probing.online.prepare import PreparedOnline, prepare_online
from sparse_probing.online.train_online import run_online
from sparse_probing.probes.inputs.one_thread import one_thread

Claim = Literal["cost", "accuracy", "early_stopping", "memory"]
Row = dict[str, object]


@dataclass(frozen=True)
class OnlineBenchmark:
    """Sizes of the comparison."""

    claims: tuple[Claim, ...] = ("cost", "accuracy", "early_stopping", "memory")
    model: str = "demo"
    n_sequences: int = 1600
    n_stopping: int = 6400
    """Sequences of the claim ``early_stopping``: probes can stop only where there are more texts than they need."""
    context_length: int = 64
    """Tokens of the longest sequence."""
    batch_size: int = 32
    hook_points: tuple[str, ...] = ("hook_mlp_out", "mlp.hook_post")
    """Each has its own rows in the tables. The first is the one of the peer's README."""
    layers: tuple[int, ...] = ()
    """Default: all."""
    validation_frac: float = 0.05
    """Share of the rows that ends training."""
    repeats: int = 3
    """Passes over all batches."""
    threads: int = 1


def settings(
    config: OnlineBenchmark,
    folder: Path,
    hook_point: str = "mlp.hook_post",
    n_sequences: int | None = None,
    **flags: Any,
) -> OnlineConfig:
    """Save the data set below a folder, and return settings of online probes at one C, without controls."""
    dataset = windows_of_languages(n_sequences or config.n_sequences, config.context_length)
    if not (folder / dataset.name).exists():
        dataset.save(folder / dataset.name)
    given: dict[str, Any] = {
        "model": config.model,
        "feature_dataset": dataset.name,
        "feature_dataset_dir": folder,
        "results_dir": folder / "results",
        "probe_location": hook_point,
        "layers": config.layers,
        "batch_size": config.batch_size,
        "n_threads": config.threads,
        "regularization": 1.0,
        "controls": (),
    }
    return OnlineConfig.from_flags(**given | flags)


def compare_cost(config: OnlineBenchmark) -> list[Row]:
    """Time all contenders batch by batch; return a row of ratios for every hook point and contender."""
    return [row for hook_point in config.hook_points for row in _compare_cost(config, hook_point)]


def _compare_cost(config: OnlineBenchmark, hook_point: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_online(settings(config, Path(folder), hook_point, feature_subset=(GERMAN, ROMANCE)))
        nine_classes = prepare_online(prepared.config.with_flags(feature_subset=(LANGUAGE,)), model=prepared.model)
    model, batches = prepared.model, list(all_batches(prepared))
    labels = prepared.dataset.feature_probes(GERMAN).label.astype(int)
    names = [location.name for location in prepared.locations]
    of_batches: dict[str, list[float]] = {name: [] for name in ("bare", "ours", "peer")}
    totals: list[dict[str, float]] = []
    for turn in range(config.repeats + 1):
        kept = KeptRows(prepared.places, prepared.n_rows)
        stream = rows_of_batches(prepared, all_batches(prepared), lambda: prepared.places, torch.float16)
        peer = PeerRunner(model.model, sites_of(prepared), (-1, 1), patience=np.inf)

        def ours(stream: Any = stream, kept: KeptRows = kept) -> None:
            kept.put(next(stream)[1])

        times: dict[str, list[Seconds]] = {name: [] for name in ("no-op", *of_batches)}
        for number, batch in enumerate(batches):
            contenders: list[tuple[str, Contender]] = [
                ("no-op", partial(run_no_op, model, batch, names)),
                ("bare", partial(run_bare, model, batch)),
                ("ours", ours),
                ("peer", partial(peer.step, batch.tokens, labels[batch.members])),
            ]
            first = number % len(contenders)  # the same contender is not always after the same other one
            for name, contender in contenders[first:] + contenders[:first]:
                times[name].append(seconds(contender))
        layers = [(place, kept.release(place)) for place in prepared.places]
        fits = {name: seconds(partial(fit_all, p, layers)).cpu for name, p in (("2", prepared), ("9", nine_classes))}
        if turn:  # the first is not timed
            cpu = {name: sum(t.cpu for t in of_all) for name, of_all in times.items()}
            cpu["ours, exact fits of 2 binary sets"] = cpu["ours"] + fits["2"]
            cpu["ours, exact fits of 9 classes"] = cpu["ours"] + fits["9"]
            totals.append(cpu)
            for name, ratios in of_batches.items():
                ratios.append(median_ratio(times[name], times["no-op"], "cpu"))
    return [
        {
            "model": config.model,
            "hook point": f"{hook_point}, {len(prepared.places)} layers",
            "texts": f"{len(prepared.sequences):,}",
            "contender": name,
            "CPU ms a text": f"{1e3 * median(t[name] for t in totals) / len(prepared.sequences):.2f}",
            "/ no-op, batch by batch": f"{median(of_batches[name]):.3f}" if name in of_batches else "",
            "/ no-op, all batches": f"{median(t[name] / t['no-op'] for t in totals):.3f}",
            "/ peer, all batches": f"{median(t[name] / t['peer'] for t in totals):.2f}",
        }
        for name in totals[0]
    ]


def all_batches(prepared: PreparedOnline) -> Iterator[Batch]:
    """Yield the batches of a run in its order."""
    return (batch for block in blocks_of(prepared.sequences) for batch in text_batches(prepared, block))


def fit_all(prepared: PreparedOnline, layers: list[tuple[Place, np.ndarray]]) -> None:
    """Fit the label sets of a run at every place, as a run does."""
    with one_thread():
        fits = RowFits(prepared)
        for place, layer in layers:
            fits.fit(place, layer)


def sites_of(prepared: PreparedOnline) -> dict[str, Any]:
    """Return where the Hugging Face model computes the activation of every place."""
    return {location.name: prepared.model.point(location.name).site for location in prepared.locations}


def run_no_op(model: LanguageModel, batch: Batch, names: list[str]) -> None:
    """Run a batch up to the last place, with hooks that do nothing."""
    model.run(batch.tokens, batch.mask, dict.fromkeys(names, lambda _activation: None))


def run_bare(model: LanguageModel, batch: Batch) -> None:
    """Run a batch through all blocks, without hooks and without the unembedding."""
    with torch.inference_mode():
        model.model.base_model(input_ids=batch.tokens, attention_mask=batch.mask, use_cache=False)


def compare_accuracy(config: OnlineBenchmark) -> list[Row]:
    """Train ours and the peer's probes on the training rows of the same splits; return a row for every label set."""
    return [row for hook_point in config.hook_points for row in _compare_accuracy(config, hook_point)]


def _compare_accuracy(config: OnlineBenchmark, hook_point: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_online(settings(config, Path(folder), hook_point))
        run_online(prepared)
        metrics = OnlineRun.open(prepared.folder).metrics
        splits = {s.feature: s for of_study in RowFits(prepared).splits.values() for s in of_study}
    rows: list[Row] = []
    for label_set in (GERMAN, ROMANCE, LANGUAGE):
        ours = metrics[metrics["label_set"] == label_set]["accuracy"]
        each = splits[label_set]
        labels, sequences = each.rows.label.astype(int), each.rows.sequence
        values, counts = np.unique(labels[each.split.train], return_counts=True)
        peer, steps = train_peer(prepared, sequences[each.split.train], labels[each.split.train])
        is_right = [
            p == labels[each.split.test] for p in predictions_of_peer(prepared, peer, sequences[each.split.test])
        ]
        of_peer = [float(right.mean()) for right in is_right]
        rows.append(
            {
                "label set": label_set,
                "hook point": f"{hook_point}, {len(prepared.places)} layers",
                "training / test rows": f"{len(each.split.train):,} / {len(each.split.test):,}",
                "most common label": f"{float((labels[each.split.test] == values[counts.argmax()]).mean()):.3f}",
                "ours": f"{ours.min():.3f} to {ours.max():.3f}",
                "peer": f"{min(of_peer):.3f} to {max(of_peer):.3f}",
                "peer's batches of 8 until it stops": f"{min(steps)} to {max(steps)}",
            }
        )
    return rows


def train_peer(prepared: PreparedOnline, sequences: np.ndarray, labels: np.ndarray) -> tuple[PeerRunner, list[int]]:
    """Run the peer's README flow: batches of 8 in a random order until all of its probes have stopped."""
    peer = PeerRunner(prepared.model.model, sites_of(prepared), np.unique(labels).tolist())
    order = np.random.default_rng(0).permutation(len(sequences))
    for start in range(0, len(order), 8):
        chosen = order[start : start + 8]
        if peer.step(padded(prepared, sequences[chosen]), labels[chosen]):
            break
    return peer, [probe.n_steps for probe in peer.probes.values()]


def predictions_of_peer(prepared: PreparedOnline, peer: PeerRunner, sequences: np.ndarray) -> list[np.ndarray]:
    """Return the predicted labels of sequences by every probe of the peer."""
    pieces = [peer.pooled(padded(prepared, sequences[start : start + 8])) for start in range(0, len(sequences), 8)]
    return [probe.model.predict(np.concatenate([p[name] for p in pieces])) for name, probe in peer.probes.items()]


def padded(prepared: PreparedOnline, sequences: np.ndarray) -> torch.Tensor:
    """Return the tokens of sequences, padded with zeros to the longest of them."""
    ids = prepared.dataset.tokens(sequences)
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(each.astype(np.int64)) for each in ids], batch_first=True)


def compare_early_stopping(config: OnlineBenchmark) -> list[Row]:
    """Train with and without early stopping on the language; return CPU seconds and accuracy of each."""
    streaming: dict[str, Any] = {"regularization": None, "validation_frac": config.validation_frac}
    contenders: dict[str, dict[str, Any]] = {
        "moments": {"learner": "moments", "patience": 0, **streaming},
        "moments, early stopping": {"learner": "moments", "patience": 5, **streaming},
        "adamw": {"learner": "adamw", "patience": 0, **streaming},
        "adamw, early stopping": {"learner": "adamw", "patience": 5, **streaming},
        "rows": {"learner": "rows"},
    }
    cpu: dict[str, float] = {}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in contenders.items():
            flags["feature_subset"] = (LANGUAGE,)
            online = settings(config, Path(folder), config.hook_points[0], config.n_stopping, **flags)
            prepared = prepare_online(online)
            cpu[name] = seconds(partial(run_online, prepared)).cpu
            accuracy = OnlineRun.open(prepared.folder).metrics["accuracy"]
            rows.append(
                {
                    "learner": name,
                    "hook point": f"{config.hook_points[0]}, {len(prepared.places)} layers",
                    "texts": f"{len(prepared.sequences):,}",
                    "CPU s": f"{cpu[name]:.2f}",
                    "/ the same on all texts": f"{cpu[name] / cpu[name.partition(',')[0]]:.2f}",
                    "accuracy": f"{accuracy.min():.3f} to {accuracy.max():.3f}",
                }
            )
    return rows


def compare_memory(config: OnlineBenchmark) -> list[Row]:
    """Measure the memory that a run adds to the loaded model and data set, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        online = settings(config, Path(folder), pooling=("mean", "last"), further_locations=("hook_resid_post",))
        prepared = prepare_online(online)
        n_rows = bytes_of_rows(prepared.places, prepared.n_rows)
        added = resident_memory(measured_run, online, Path(folder) / "bytes")
        loaded, peak = map(int, (Path(folder) / "bytes").read_text().split())
    return [
        {
            "model": config.model,
            "places": len(prepared.places),
            "texts": f"{len(prepared.sequences):,}",
            "rows, MB": f"{n_rows / 1e6:.1f}",
            "model and data set loaded, MB": f"{loaded / 1e6:.0f}",
            "peak, MB": f"{peak / 1e6:.0f}",
            "peak above model and rows, MB": f"{(peak - loaded - n_rows) / 1e6:.0f}",
            "process, MB": f"{added.peak / 1e6:.0f}",
        }
    ]


def measured_run(online: OnlineConfig, file: Path) -> None:
    """Run in this process, and write the resident memory before and the peak to a file."""
    with threadpool_limits(1):
        prepared = prepare_online(online)
        loaded = resident_now()
        run_online(prepared)
        file.write_text(f"{loaded} {resident_peak()}")


TABLES = {
    "cost": compare_cost,
    "accuracy": compare_accuracy,
    "early_stopping": compare_early_stopping,
    "memory": compare_memory,
}


def compare(config: OnlineBenchmark) -> Iterator[tuple[Claim, list[Row]]]:
    """Yield the table of every claim."""
    torch.set_num_threads(config.threads)
    datasets.disable_progress_bars()
    with threadpool_limits(config.threads):
        for claim in config.claims:
            yield claim, TABLES[claim](config)


if __name__ == "__main__":
    for claim, table in compare(tyro.cli(OnlineBenchmark, description=__doc__)):
        print(f"\n{claim}\n")
        print_table(table)
