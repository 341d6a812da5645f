"""Keep the rows of every place in memory, in float16: probes are then fitted to them exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config.online import PoolingName
from sparse_probing.online.pass_over_texts import BatchRows
from sparse_probing.online.places import Place


class KeptRows:
    """The rows of places, in memory that is reserved once.

    Below n = 2 d rows of d neurons they are smaller than any sufficient statistic of them.

    Parameters
    ----------
    places : sequence of Place
    n_rows : mapping
        Rows of every pooling.
    """

    def __init__(self, places: Sequence[Place], n_rows: Mapping[PoolingName, int]) -> None:
        self._rows: dict[Place, NDArray[np.float16]] = {
            place: np.empty((n_rows[place.pooling], place.location.width), np.float16) for place in places
        }

    @property
    def places(self) -> list[Place]:
        """The places whose rows are kept."""
        return list(self._rows)

    def put(self, batch: BatchRows) -> None:
        """Keep the rows of a batch."""
        for place, (numbers, rows) in batch.items():
            self._rows[place][numbers] = rows.numpy()

    def part(self, place: Place, numbers: NDArray | slice) -> NDArray[np.float16]:
        """Return some rows of a place."""
        return self._rows[place][numbers]

    def restore(self, place: Place, numbers: NDArray | slice, rows: NDArray[np.float16]) -> None:
        """Keep rows that an earlier process saved."""
        self._rows[place][numbers] = rows

    def release(self, place: Place) -> NDArray[np.float16]:
        """Return the rows of a place (n, width) with contiguous columns, as a store is read, and forget them."""
        return np.asfortranarray(self._rows.pop(place))
