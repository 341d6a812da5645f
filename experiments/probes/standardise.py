"""Neurons brought to mean 0 and deviation 1 on the training rows, and coefficients brought back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Standardiser:
    """Mean and standard deviation of every neuron on training rows."""

    mean: np.ndarray
    """(width,) float32."""
    deviation: np.ndarray
    """(width,) float32; 1 where a neuron is constant."""

    @classmethod
    def of(cls, train: np.ndarray) -> Standardiser:
        """Measure training rows (n, width)."""
        deviation = train.std(0, dtype=np.float64).astype(np.float32)
        deviation[deviation == 0] = 1
        return cls(train.mean(0, dtype=np.float64).astype(np.float32), deviation)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Standardise rows (n, width) by the training rows' figures."""
        return (rows - self.mean) / self.deviation

    def undo(self, support: np.ndarray, coef: np.ndarray, intercept: float) -> tuple[np.ndarray, float]:
        """Return the coefficients and intercept that give the same scores on activations as they are stored."""
        stored = coef / self.deviation[support].astype(np.float64)
        return stored, float(intercept - stored @ self.mean[support].astype(np.float64))
