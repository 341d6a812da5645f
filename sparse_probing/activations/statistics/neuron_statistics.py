"""Streaming statistics of many neurons at once: histogram, mean, variance, extremes, fractions of each sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from probing_datasets.foundation.errors import ActivationError
from sparse_probing.activations.statistics.bins import Bins

TILE_ROWS, TILE_COLUMNS = 1024, 128
"""Rows and columns that the CPU works on at a time, so that the steps on a tile run in its cache."""
ACCELERATOR_ROWS = 4096
"""Rows that an accelerator works on at a time, in all columns: few kernel launches, bounded memory."""

Tensors = dict[str, torch.Tensor]


@dataclass
class NeuronStatistics:
    """Statistics of the d neurons of a layer over the n tokens seen so far.

    Updates in any order, and merging of statistics over other tokens, give the same counts and extremes; mean
    and variance are the same up to rounding in float64.

    References
    ----------
    Chan, Golub and LeVeque, Algorithms for computing the sample variance (1983), equation 2.1.
    """

    n: torch.Tensor
    """() int64."""
    mean: torch.Tensor
    """(d,) float64."""
    square: torch.Tensor
    """(d,) float64: sum of squared distances from the mean."""
    minimum: torch.Tensor
    """(d,) float32; infinity when n is 0."""
    maximum: torch.Tensor
    """(d,) float32; minus infinity when n is 0."""
    nonzero: torch.Tensor
    """(d,) int64."""
    positive: torch.Tensor
    """(d,) int64."""
    counts: torch.Tensor
    """(d, n_bin + 2) int64: below the bins, in each of them, above."""

    @classmethod
    def empty(cls, width: int, bins: Bins) -> NeuronStatistics:
        """Return statistics over no token, on the host."""
        return cls(
            n=torch.zeros((), dtype=torch.int64),
            mean=torch.zeros(width, dtype=torch.float64),
            square=torch.zeros(width, dtype=torch.float64),
            minimum=torch.full((width,), torch.inf),
            maximum=torch.full((width,), -torch.inf),
            nonzero=torch.zeros(width, dtype=torch.int64),
            positive=torch.zeros(width, dtype=torch.int64),
            counts=torch.zeros((width, bins.n_codes), dtype=torch.int64),
        )

    def tensors(self) -> Tensors:
        """Return all tensors by name; ``NeuronStatistics(**tensors)`` is equal to this object."""
        return dict(vars(self))

    def to(self, device: torch.device) -> None:
        """Move all tensors to a device."""
        vars(self).update({name: tensor.to(device) for name, tensor in self.tensors().items()})

    def update(self, activations: torch.Tensor, row: torch.Tensor, bins: Bins) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens.

        Parameters
        ----------
        activations : (m, d) float
            Activations, on the device of the statistics.
        row : (n,) int64
            The rows of ``activations`` that are added.
        bins : Bins
            The bins of the statistics.

        Returns
        -------
        lowest, highest : (d,) float32
            The extremes over these rows; infinity and minus infinity when there are no rows.

        Raises
        ------
        ActivationError
            When one of these activations is NaN or infinite.
        """
        lowest, highest = torch.full_like(self.minimum, torch.inf), torch.full_like(self.maximum, -torch.inf)
        for rows, columns in _tiles(len(row), activations):
            tile = activations[:, columns].index_select(0, row[rows]).float()
            lowest[columns] = torch.minimum(lowest[columns], tile.amin(0))
            highest[columns] = torch.maximum(highest[columns], tile.amax(0))
            _check_finite(lowest[columns], highest[columns])
            self._add_moments(tile, self.n + rows.start, columns)
            self._add_counts(tile, columns, bins.columns(columns))
        self.minimum = torch.minimum(self.minimum, lowest)
        self.maximum = torch.maximum(self.maximum, highest)
        self.n += len(row)
        return lowest, highest

    def merge(self, other: NeuronStatistics) -> None:
        """Add the statistics over other tokens."""
        self._merge_moments(self.n, other.n, other.mean, other.square, slice(None))
        self.n += other.n
        self.minimum = torch.minimum(self.minimum, other.minimum)
        self.maximum = torch.maximum(self.maximum, other.maximum)
        self.nonzero += other.nonzero
        self.positive += other.positive
        self.counts += other.counts

    def _add_moments(self, tile: torch.Tensor, n_before: torch.Tensor, columns: slice) -> None:
        mean = tile.mean(0)
        residual = tile - mean
        rest = residual.mean(0).double()  # rounding error of the mean
        square = residual.square_().sum(0).double() - len(tile) * rest.square()
        n = torch.tensor(len(tile), device=tile.device)
        self._merge_moments(n_before, n, mean.double() + rest, square, columns)

    def _merge_moments(
        self, n_before: torch.Tensor, n: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, columns: slice
    ) -> None:
        total = torch.clamp(n_before + n, min=1).double()
        step = mean - self.mean[columns]
        self.mean[columns] += step * (n / total)
        self.square[columns] += square.clamp(min=0) + step.square() * (n_before * (n / total))

    def _add_counts(self, tile: torch.Tensor, columns: slice, bins: Bins) -> None:
        # Floats sum four times as fast as booleans, and exactly up to 2^24 rows.
        sign = torch.empty_like(tile)
        self.nonzero[columns] += torch.ne(tile, 0, out=sign).sum(0).long()
        self.positive[columns] += torch.gt(tile, 0, out=sign).sum(0).long()
        width = tile.shape[1]
        codes = bins.codes(tile)
        codes += torch.arange(width, dtype=torch.int32, device=tile.device) * bins.n_codes
        counts = torch.bincount(codes.flatten(), minlength=width * bins.n_codes)
        self.counts[columns] += counts.view(width, bins.n_codes)


def _tiles(n: int, activations: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the pieces to work on; the pieces of a column are in the order of their rows."""
    d = activations.shape[1]
    n_rows, n_columns = (TILE_ROWS, TILE_COLUMNS) if activations.device.type == "cpu" else (ACCELERATOR_ROWS, d)
    for column in range(0, d, n_columns):
        for row in range(0, n, n_rows):
            yield slice(row, row + n_rows), slice(column, column + n_columns)


def _check_finite(lowest: torch.Tensor, highest: torch.Tensor) -> None:
    # The extremes are finite only if all values are.
    if not bool((lowest.isfinite() & highest.isfinite()).all()):
        raise ActivationError(
            "Activations of a batch are NaN or infinite. The model itself computes them: run it in --dtype float32, "
            "or check its weights."
        )
