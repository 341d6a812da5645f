"""What a study is given: the activations and labels of one feature at one layer, split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.probes.metrics import classification_metrics
from experiments.results import METRICS


@dataclass(frozen=True)
class SplitData:
    """Training and test rows of one feature at one layer."""

    x_train: np.ndarray
    """(n_train, width) float32 activations."""
    y_train: np.ndarray
    """(n_train,) int8, -1/+1."""
    x_test: np.ndarray
    """(n_test, width) float32."""
    y_test: np.ndarray
    """(n_test,) int8."""

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.x_train.shape[1]

    def metrics(self, score: Callable[[np.ndarray], np.ndarray]) -> list[dict[str, float]]:
        """Return the ``train_`` and ``test_`` metrics of m probes.

        Parameters
        ----------
        score : callable
            From activations (n, width) to the decision values (n, m) of the probes; positive
            means the positive class.
        """
        table: dict[str, np.ndarray] = {}
        for part, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            values = classification_metrics(y, score(x))
            table |= {f"{part}_{name}": values[name] for name in METRICS}
        n_probes = len(table[f"test_{METRICS[0]}"])
        return [{name: float(v[i]) for name, v in table.items()} for i in range(n_probes)]
