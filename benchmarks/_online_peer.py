"""The flow of a small tool that trains scikit-learn's SGD on pooled activations while a model runs, in a few lines.

It follows the tool's README: batches in the order of the data set; the whole model runs, with its unembedding and
without the attention mask; the mean over all positions, padding included; one `SGDClassifier` for each submodule, so
that a second label set of a submodule replaces the first; a share of every batch is held out, and its loss ends the
training of a probe after ``patience`` batches without a better one. The tool reads activations through a tracing
library; here plain hooks of PyTorch do, which cost less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from transformers import PreTrainedModel

from sparse_probing.models.hooks import hook_site
from sparse_probing.models.tensor_trace import Site


class PeerProbe:
    """A probe of one submodule."""

    def __init__(self, classes: Sequence[int], test_size: float, patience: float, warmup_steps: int) -> None:
        self.classes, self.test_size, self.patience, self.warmup_steps = classes, test_size, patience, warmup_steps
        self.model = SGDClassifier(loss="log_loss", random_state=0)
        self.n_steps = self.n_worse = 0
        self.best = np.inf
        self.stopped = False
        self._random = np.random.default_rng(0)

    def step(self, rows: np.ndarray, labels: np.ndarray) -> None:
        """Hold out a share of the batch, train on the rest, and check the loss of the share."""
        n_test = int(np.ceil(self.test_size * len(rows)))
        order = self._random.permutation(len(rows))
        test, train = order[:n_test], order[n_test:]
        if self.stopped or not len(train):
            return
        self.model.partial_fit(rows[train], labels[train], classes=self.classes)
        loss = log_loss(labels[test], self.model.predict_proba(rows[test]), labels=self.classes)
        self.n_steps += 1
        if loss < self.best:
            self.best, self.n_worse = loss, 0
        elif self.n_steps > self.warmup_steps:
            self.n_worse += 1
        self.stopped = self.n_worse >= self.patience


class PeerRunner:
    """Probes of submodules, by their names."""

    def __init__(
        self,
        model: PreTrainedModel,
        sites: Mapping[str, Site],
        classes: Sequence[int],
        test_size: float = 0.1,
        patience: float = 5,
        warmup_steps: int = 10,
    ) -> None:
        self.model, self.sites = model, sites
        self.probes = {name: PeerProbe(classes, test_size, patience, warmup_steps) for name in sites}

    def pooled(self, tokens: torch.Tensor) -> dict[str, np.ndarray]:
        """Run the model, and return the mean activation of every sequence, padding included."""
        rows: dict[str, np.ndarray] = {}

        def keep(name: str, activation: torch.Tensor) -> None:
            rows[name] = activation.mean(1).numpy()

        handles = [hook_site(self.model.get_submodule(s.module), s, partial(keep, n)) for n, s in self.sites.items()]
        with torch.no_grad():
            self.model(input_ids=tokens)
        for handle in handles:
            handle.remove()
        return rows

    def step(self, tokens: torch.Tensor, labels: np.ndarray) -> bool:
        """Train all probes on a batch; return whether all have stopped."""
        for name, rows in self.pooled(tokens).items():
            self.probes[name].step(rows, labels)
        return all(probe.stopped for probe in self.probes.values())
