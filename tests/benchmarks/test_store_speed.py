"""The benchmark of stores at a tiny size: contenders write and read the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.store_speed import (
    PRECISIONS,
    WHOLE,
    SpeedConfig,
    compare_reading,
    compare_writing,
    peer_readers,
    pieces_of,
    synthetic_values,
    write_store,
)
from sparse_probing.activations.stores import STORES

CONFIG = SpeedConfig(n_rows=256, width=64, n_layers=2, repeats=1)


def test_every_writer_is_compared_with_a_plain_write() -> None:
    rows = compare_writing(CONFIG)
    assert [row["writer"] for row in rows if row["precision"] == "16"] == [
        "plain write",
        *STORES,
        "zarr-python",
        "h5py",
    ]
    assert [row["writer"] for row in rows if row["precision"] == "8"] == ["plain write", *STORES]
    assert all(float(str(row["speed / plain write"])) > 0 for row in rows)


def test_every_read_is_compared_with_the_whole_layer() -> None:
    rows = compare_reading(CONFIG)
    assert len(rows) == len(PRECISIONS) * len(STORES) * len(pieces_of(256, 64))
    assert all(row["cost / share"] == "1.00" for row in rows if row["read"] == WHOLE)
    assert {row["store"] for row in rows if row["peer / ours"]} == {"zarr, 16", "hdf5, 16"}


@pytest.mark.parametrize("kind", STORES)
def test_peers_read_the_same_pieces(tmp_path: Path, kind: str) -> None:
    store = write_store(tmp_path, kind, "16", synthetic_values(256, 64), n_layers=1)
    pieces = pieces_of(256, 64)
    for what, read in peer_readers(store, pieces).items():
        assert np.array_equal(np.asarray(read()), store.read(0, **pieces[what]))
    assert not np.array_equal(store.read(0, **pieces["16 neurons"]), store.read(0)[:, :16])


def test_a_third_of_the_rows_is_a_third() -> None:
    pieces = pieces_of(9600, 64)
    chosen = [np.arange(9600)[options["rows"]] for options in pieces.values() if "rows" in options]
    assert [len(rows) for rows in chosen] == [3200, 3200]
    assert all((np.diff(rows) > 0).all() for rows in chosen)
