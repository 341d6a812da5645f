"""Probes that are learned batch by batch against converged fits of the same rows: accuracy and CPU time.

The rows are activations of the demo model on the bundled texts of several languages: each token, or means of windows of
16 tokens. Learners see each batch once, in a seeded order of whole documents; the converged softmax probe has all
training rows at once. The ridge, rate, decay and C are chosen on validation documents, and all numbers are of test
documents. Attention pools the tokens of the windows itself. Controls learn and predict shuffled labels of whole
documents.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from benchmarks._report import print_table
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.models import load_model
from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.attention import Attention, AttentionSettings
from sparse_probing.online.learners.averaged_adamw import AdamWSettings
from sparse_probing.online.learners.label_sets import LabelSet
from sparse_probing.online.learners.moments import Moments, MomentsSettings
from sparse_probing.probes.l2.multinomial import fit_multinomial
from sparse_probing.probes.splits.common_split import ThreeParts, common_split

WINDOW = 16
SETS = (LabelSet("language", "multiclass", tuple(map(str, range(9)))), LabelSet("Romance", "binary"))
ROMANCE = ("French", "Italian", "Portuguese", "Spanish")


@dataclass(frozen=True)
class LearnersBenchmark:
    """What is compared."""

    hook_points: tuple[str, ...] = ("blocks.2.mlp.hook_post", "blocks.3.hook_resid_post")
    Cs: tuple[float, ...] = (3e-3, 1e-2, 1e-1)
    """C of the converged fits, from which validation documents choose; rows are divided by their root mean square."""
    batch_texts: int = 32
    """Windows of a batch."""
    batch_tokens: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Texts:
    """Windows of tokens with their labels."""

    windows: NDArray[np.float32]
    """(n, 16, d)"""
    mask: NDArray[np.bool_]
    labels: NDArray[np.float64]
    """(n, 2)"""
    document: NDArray[np.int64]

    def tokens(self) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
        """Return each token as a row, with its labels and document."""
        n = self.mask.sum(axis=1)
        return self.windows[self.mask], np.repeat(self.labels, n, axis=0), np.repeat(self.document, n)

    def means(self) -> NDArray[np.float32]:
        """Return the mean of each window."""
        return (self.windows * self.mask[..., None]).sum(axis=1) / self.mask.sum(axis=1, keepdims=True)


def read_texts(hook_point: str) -> Texts:
    """Run the demo model over the bundled languages, without the first token of each text."""
    with TemporaryDirectory() as folder:
        dataset = make_dataset(MakeConfig("natural_lang_id", output_dir=Path(folder)))
    model, probes = load_model("demo"), dataset.probes.to_pandas()
    language = np.zeros(len(dataset.sequences), np.int64)
    is_romance = np.full(len(dataset.sequences), -1.0)
    for number, feature in enumerate(dataset.features):
        info = dataset.description.features[feature]
        part = probes.iloc[info.start : info.stop]
        members = part["sequence"][part["label"] > 0].unique()
        language[members] = number
        is_romance[members] = 1 if feature in ROMANCE else -1
    windows, masks, labels, documents = [], [], [], []
    for i, tokens in enumerate(dataset.sequences["tokens"]):
        batch, kept = torch.tensor([tokens]), []
        with torch.inference_mode():
            model.run(batch, torch.ones_like(batch), {hook_point: lambda x, kept=kept: kept.append(x[0].clone())})
        for window in kept[0][1:].split(WINDOW):
            missing = WINDOW - len(window)
            windows.append(torch.nn.functional.pad(window, (0, 0, 0, missing)).numpy())
            masks.append(np.arange(WINDOW) < len(window))
            labels.append((language[i], is_romance[i]))
            documents.append(i)
    return Texts(np.stack(windows), np.stack(masks), np.array(labels, np.float64), np.array(documents))


def batches(rows: NDArray, document: NDArray, size: int, epochs: int, seed: int) -> Iterator[NDArray]:
    """Yield the rows of batches: whole documents in a random order, which every epoch changes."""
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(np.unique(document[rows]))
        place = np.argsort(order)[np.searchsorted(np.sort(order), document[rows])]
        in_order = rows[np.argsort(place, kind="stable")]
        yield from np.array_split(in_order, max(1, len(in_order) // size))


def accuracies(scores: Sequence[NDArray], labels: NDArray) -> tuple[float, float]:
    """Return the share of right classes of both label sets."""
    return (
        float((scores[0].argmax(axis=1) == labels[:, 0]).mean()),
        float((np.where(scores[1][:, 0] > 0, 1, -1) == labels[:, 1]).mean()),
    )


def converged(config: LearnersBenchmark, X: NDArray, labels: NDArray, split: ThreeParts) -> list[NDArray]:
    """Return the scores of all rows by converged probes, whose C has the highest accuracy of validation rows."""
    Z = X / np.sqrt(X[split.train].var(axis=0).mean())
    chosen = []
    for s in range(len(SETS)):
        y, best, best_accuracy = labels[:, s].astype(int), None, -1.0
        for C in config.Cs:
            fit = fit_multinomial(Z[split.train], y[split.train], C, tolerance=1e-4)
            accuracy = float((fit.predict(Z[split.validation]) == y[split.validation]).mean())
            if accuracy > best_accuracy:
                scores = fit.scores(Z)
                best, best_accuracy = scores if s == 0 else scores[:, 1:] - scores[:, :1], accuracy
        chosen.append(best)
    return chosen


def shuffled(labels: NDArray, document: NDArray, seed: int) -> NDArray:
    """Return the labels of other documents for the rows of each document."""
    of_documents = labels[np.unique(document, return_index=True)[1]]
    return np.random.default_rng(seed).permutation(of_documents)[document]


def learned(
    learner: Moments | AdamW, X: NDArray, labels: NDArray, split: ThreeParts, order: Iterator[NDArray]
) -> tuple[list[NDArray], float]:
    """Return the scores of all rows by the probes of a learner, and the CPU seconds of its updates."""
    start = time.process_time()
    for rows in order:
        learner.update(torch.from_numpy(X[rows]), torch.from_numpy(labels[rows]))
    spent = time.process_time() - start
    held_out = split.validation
    fits = learner.finish(torch.from_numpy(X[held_out]), torch.from_numpy(labels[held_out]))
    return [fit.scores(X) for fit in fits], spent


def attention(
    config: LearnersBenchmark, texts: Texts, split: ThreeParts, heads: int
) -> tuple[Sequence[NDArray], float]:
    """Return the same of attention pooling of windows."""
    X, mask, labels = (torch.from_numpy(part) for part in (texts.windows, texts.mask, texts.labels))
    settings = AttentionSettings.of_pass(SETS, texts.labels[split.train], n_heads=heads)
    learner = Attention(X.shape[2], SETS, settings, "cpu")
    start = time.process_time()
    for rows in batches(split.train, texts.document, config.batch_texts, 1, config.seed):
        learner.update(X[rows], mask[rows], labels[rows])
    spent = time.process_time() - start
    held_out = split.validation
    return [fit.scores(X, mask) for fit in learner.finish([(X[held_out], mask[held_out], labels[held_out])])], spent


def compare(config: LearnersBenchmark) -> list[dict[str, object]]:
    """Return a row for each hook point, kind of row, and learner."""
    table: list[dict[str, object]] = []
    for hook_point in config.hook_points:
        texts = read_texts(hook_point)
        kinds = {
            "windows": (config.batch_texts, texts.means(), texts.labels, texts.document),
            "tokens": (config.batch_tokens, *texts.tokens()),
        }
        for kind, (size, X, labels, document) in kinds.items():
            split = common_split(labels, document, [each.kind for each in SETS], 0.1, 0.3, config.seed)
            train, width = split.train, X.shape[1]
            control = shuffled(labels, document, config.seed)
            results: dict[str, tuple[Sequence[NDArray], float]] = {}
            results["converged"] = converged(config, X, labels, split), np.nan
            for name, y, epochs in (("", labels, 1), (", 5 epochs", labels, 5), (", shuffled labels", control, 1)):
                settings = AdamWSettings.of_pass(SETS, y[train], epochs)
                learners: dict[str, Moments | AdamW] = {"adamw": AdamW(width, SETS, settings, "cpu")}
                if epochs == 1:
                    learners["moments"] = Moments(width, SETS, MomentsSettings(), "cpu")
                for learner_name, learner in learners.items():
                    order = batches(train, document, size, epochs, config.seed)
                    scores, spent = learned(learner, X, y, split, order)
                    results[learner_name + name] = scores, spent / epochs
            for heads in (1, 8) if kind == "windows" else ():
                results[f"attention, {heads} heads"] = attention(config, texts, split, heads)
            for name, (scores, spent) in results.items():
                truth = control if "shuffled" in name else labels
                of_classes, of_two = accuracies([each[split.test] for each in scores], truth[split.test])
                table.append(
                    {
                        "hook point": hook_point,
                        "training rows": f"{len(train):,} {kind}",
                        "learner": name,
                        "accuracy, 9 classes": f"{of_classes:.4f}",
                        "accuracy, 2 classes": f"{of_two:.4f}",
                        "CPU ms per batch": f"{1e3 * spent / max(1, len(train) // size):.1f}",
                    }
                )
    return table


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print_table(compare(tyro.cli(LearnersBenchmark, description=__doc__)))


if __name__ == "__main__":
    main()
