"""When a probe has stopped learning: patience on the smoothed loss of held-out groups."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from probing_datasets.foundation.errors import ProbeError

SMOOTHING = 0.5
"""Share of the smoothed loss that each check keeps."""
GROWTH = 0.05
"""Share of the training texts so far that is read, at least, until the next check."""
SHARE_OF_PASS = 0.1
"""Share of the products of the pass that the checks may cost while all places learn."""


def batches_of_checks(n_batches: int, warmup_steps: int, cost: float) -> list[int]:
    """Return the numbers of the training batches, from 1, after which the loss of validation rows is taken.

    They are further and further apart. So patience is in shares of what was learned from: a loss that has not fallen
    while the texts grew by a fourth hardly falls with the next fourth either, be it after a thousand texts or a
    million. They follow from the sizes of a run only, so a resumed one has the same.

    Parameters
    ----------
    n_batches : int
    warmup_steps : int
        Batches before the first check.
    cost : float
        Of the check of all places, over that of running a batch of texts.
    """
    checks, number = [], max(warmup_steps, 1)
    while number <= n_batches:
        checks.append(number)
        number += max(1, math.ceil(cost / SHARE_OF_PASS), round(GROWTH * number))
    return checks


@dataclass
class EarlyStopping:
    """Early stopping of one probe.

    A check hands over the loss of all kept validation rows. The smoothed loss is their exponential average. After
    ``warmup_steps`` checks, each check whose smoothed loss is not below the best one by a share of ``threshold``
    counts; after ``patience`` such checks in a row the probe has stopped, and stays so.
    """

    patience: int = 5
    """Checks in a row without a lower loss after which a probe stops."""
    warmup_steps: int = 10
    """First checks, which never stop a probe."""
    threshold: float = 1e-3
    """Share by which the smoothed loss must fall below the best one to count as lower."""
    n_checks: int = 0
    n_without_progress: int = 0
    smoothed: float = math.inf
    """Smoothed loss; infinite before the first check."""
    best: float = math.inf
    """Lowest smoothed loss that counted as lower, from the end of the warm-up on."""
    stopped: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that could not stop a probe, or would stop it at once.

        Raises
        ------
        ProbeError
        """
        if self.patience < 1 or self.warmup_steps < 0 or not 0 <= self.threshold < 1:
            raise ProbeError(
                f"Early stopping with patience {self.patience}, {self.warmup_steps} warm-up steps and threshold "
                f"{self.threshold} does not work: patience is at least 1, the warm-up at least 0, and the threshold "
                "from 0 to below 1."
            )

    def update(self, loss: float) -> bool:
        """Take the loss of a check; return whether the probe has stopped.

        A loss that is not finite counts as a check without progress, and is left out of the average.
        """
        if self.stopped:
            return True
        self.n_checks += 1
        if math.isfinite(loss):
            before = self.smoothed if math.isfinite(self.smoothed) else loss
            self.smoothed = SMOOTHING * before + (1 - SMOOTHING) * loss
        if self.n_checks <= self.warmup_steps:
            return False
        is_first = math.isinf(self.best)
        if math.isfinite(loss) and (is_first or self.smoothed < self.best - self.threshold * abs(self.best)):
            self.best, self.n_without_progress = self.smoothed, 0
        else:
            self.n_without_progress += 1
        self.stopped = self.n_without_progress >= self.patience
        return self.stopped

    def state(self) -> dict[str, float | int | bool]:
        """Return everything that a resume needs: ``EarlyStopping(**state)`` continues to the bit."""
        return asdict(self)
