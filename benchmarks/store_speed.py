"""Writing and reading a store against a plain write, zarr-python and h5py.

Layers of synthetic GELU activations are written to new files, durably, and one is read back from the page cache.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import tyro
import zarr
from zarr.codecs import Crc32cCodec

from benchmarks._report import Contender, Seconds, alternate, median_ratio, median_seconds, print_table
from probing_datasets.foundation.files.atomic_files import fsync_path
from sparse_probing.activations.stores import STORES, ActivationStore
from sparse_probing.activations.stores.format.blocks import choose_block_columns
from sparse_probing.activations.stores.plan import StorePlan, choose_part_rows
from sparse_probing.config import Precision

HOOK = "mlp.hook_post"
LAYER_NAME = f"{HOOK}/layer_00"
N_COLUMNS = 16
RUN_ROWS = 64
PRECISIONS: tuple[Precision, ...] = ("16", "8")
WHOLE = "whole layer"
PLAIN = "plain write"


@dataclass(frozen=True)
class SpeedConfig:
    """Sizes of the comparison."""

    n_rows: int = 8192
    width: int = 8192
    """Neurons."""
    n_layers: int = 4
    """Layers to write."""
    repeats: int = 5
    folder: Path | None = None
    """Where to write; by default the folder for temporary files of the system."""


def compare_writing(config: SpeedConfig) -> list[dict[str, object]]:
    """Write all layers with the contenders alternately; return the rows of the table."""
    values = synthetic_values(config.n_rows, config.width)
    rows = []
    for precision in PRECISIONS:
        given = values.astype(np.float16) if precision == "16" else values
        with _folder(config) as root:
            times = alternate(_writers(root, precision, given, config.n_layers), config.repeats)
        rows += [_written(name, precision, config.n_layers * given.nbytes / 1e9, times) for name in times]
    return rows


def compare_reading(config: SpeedConfig) -> list[dict[str, object]]:
    """Read a layer, and pieces of it, with the contenders alternately; return the rows of the table."""
    values = synthetic_values(config.n_rows, config.width)
    with _folder(config) as root:
        rows = []
        for precision in PRECISIONS:
            for kind in STORES:
                store = write_store(root / f"{kind}-{precision}", kind, precision, values, n_layers=1)
                pieces = pieces_of(config.n_rows, config.width)
                ours = {what: partial(store.read, 0, **options) for what, options in pieces.items()}
                peers = peer_readers(store, pieces) if precision == "16" else {}
                times = alternate({**ours, **{f"peer: {what}": read for what, read in peers.items()}}, config.repeats)
                rows += [_read(store, what, pieces[what], times) for what in pieces]
        return rows


def synthetic_values(n_rows: int, width: int, seed: int = 0) -> np.ndarray:
    """Return float32 ``(n_rows, width)``: GELU of normal pre-activations, with a different mean for each neuron."""
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((n_rows, width), np.float32) - generator.uniform(0, 2, width).astype(np.float32)
    return torch.nn.functional.gelu(torch.from_numpy(hidden)).numpy()


def write_store(path: Path, kind: str, precision: Precision, values: np.ndarray, n_layers: int) -> ActivationStore:
    """Write a store whose layers all have the same values, and return it."""
    (n_rows, width), layers = values.shape, tuple(range(n_layers))
    part_rows = choose_part_rows(n_rows, width * n_layers * (1 if precision == "8" else 2))
    plan = StorePlan({}, layers, (HOOK,), {HOOK: width}, n_rows, part_rows, precision)
    values = values.astype(plan.buffer_dtype, copy=False)
    store = STORES[kind].create(path, plan, np.arange(n_rows), np.zeros(n_rows, np.int64))
    for part in store.open_parts():
        rows = slice(*plan.part_range(part))
        store.write_part(part, {(HOOK, layer): values[rows] for layer in layers})
    return store


def pieces_of(n_rows: int, width: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the arguments of the reads that are timed, by what they read."""
    generator = np.random.default_rng(seed)
    columns = np.sort(generator.choice(width, min(N_COLUMNS, width), replace=False))
    starts = np.arange(0, n_rows - RUN_ROWS + 1, RUN_ROWS)
    chosen = np.sort(generator.choice(starts, max(len(starts) // 3, 1), replace=False))
    runs = (chosen[:, None] + np.arange(RUN_ROWS)).ravel()
    return {
        WHOLE: {"dtype": None},
        f"{WHOLE}, neuron by neuron in memory": {"dtype": None, "order": "F"},
        f"{WHOLE}, as float32": {"dtype": np.float32},
        f"{len(columns)} neurons": {"dtype": None, "columns": columns},
        "a third of the rows, contiguous": {"dtype": None, "rows": slice(n_rows // 3, 2 * (n_rows // 3))},
        f"a third of the rows, in runs of {RUN_ROWS}": {"dtype": None, "rows": runs},
    }


def peer_readers(store: ActivationStore, pieces: Mapping[str, Mapping[str, Any]]) -> dict[str, Contender]:
    """Return readers of the same pieces of the same files by the public library of an encoding."""
    read = {"zarr": _zarr_read, "hdf5": _h5py_read}[store.kind]
    plain_pieces = {what: options for what, options in pieces.items() if {"order"}.isdisjoint(options)}
    return {
        what: partial(
            read, Path(str(store.path)), options.get("rows", slice(None)), options.get("columns", slice(None))
        )
        for what, options in plain_pieces.items()
        if options["dtype"] is None
    }


def _zarr_read(root: Path, rows: slice | np.ndarray, columns: slice | np.ndarray) -> object:
    return zarr.open_array(root / LAYER_NAME, mode="r").oindex[rows, columns]


def _h5py_read(root: Path, rows: slice | np.ndarray, columns: slice | np.ndarray) -> object:
    with h5py.File(root / "activations.h5") as file:
        return file[LAYER_NAME][rows, columns]


def _writers(root: Path, precision: Precision, values: np.ndarray, n_layers: int) -> dict[str, Contender]:
    store = write_store(root / "sample", "zarr", precision, values, n_layers)
    files = [root / "sample" / name for part in range(store.plan.n_parts) for name in store._part_files(part)]
    writers: dict[str, Callable[[Path], object]] = {PLAIN: partial(_plain_write, [p.read_bytes() for p in files])}
    for kind in STORES:
        writers[kind] = partial(write_store, kind=kind, precision=precision, values=values, n_layers=n_layers)
    if precision == "16":
        chunks = (store.plan.part_rows, choose_block_columns(values.shape[1]))
        writers["zarr-python"] = partial(_zarr_write, chunks=chunks, values=values, n_layers=n_layers)
        writers["h5py"] = partial(_h5py_write, chunks=chunks, values=values, n_layers=n_layers)
    return {name: partial(_write_and_remove, root / "written", write) for name, write in writers.items()}


def _write_and_remove(path: Path, write: Callable[[Path], object]) -> None:
    write(path)
    shutil.rmtree(path)


def _plain_write(files: list[bytes], path: Path) -> None:
    """Write the same bytes to as many files, flushed to the disk."""
    path.mkdir()
    for number, data in enumerate(files):
        (path / str(number)).write_bytes(data)
        fsync_path(path / str(number))


def _zarr_write(path: Path, chunks: tuple[int, int], values: np.ndarray, n_layers: int) -> None:
    shards, codec = (chunks[0], values.shape[1]), Crc32cCodec()
    for layer in range(n_layers):
        array = zarr.create_array(
            path / str(layer),
            shape=values.shape,
            dtype=values.dtype,
            shards=shards,
            chunks=chunks,
            compressors=codec,
            filters=None,
        )
        array[:] = values
    _flush(path)


def _h5py_write(path: Path, chunks: tuple[int, int], values: np.ndarray, n_layers: int) -> None:
    path.mkdir()
    for layer, start in product(range(n_layers), range(0, len(values), chunks[0])):
        part = values[start : start + chunks[0]]
        with h5py.File(path / f"{layer}-{start}.h5", "w") as file:
            file.create_dataset("values", data=part, chunks=(len(part), chunks[1]), fletcher32=True)
    _flush(path)


def _flush(path: Path) -> None:
    for file in path.rglob("*"):
        fsync_path(file)


def _written(
    name: str, precision: Precision, gigabytes: float, times: Mapping[str, list[Seconds]]
) -> dict[str, object]:
    return {
        "precision": precision,
        "writer": name,
        "GB given": f"{gigabytes:.3f}",
        "s": f"{median_seconds(times[name]):.3f}",
        "CPU s per GB given": f"{median_seconds(times[name], 'cpu') / gigabytes:.2f}",
        "speed / plain write": f"{median_ratio(times[PLAIN], times[name]):.2f}",
    }


def _read(
    store: ActivationStore, what: str, options: Mapping[str, Any], times: Mapping[str, list[Seconds]]
) -> dict[str, object]:
    result = store.read(0, **options)
    share = result.size / (store.plan.n_rows * store.plan.widths[HOOK])
    peer = times.get(f"peer: {what}")
    return {
        "store": f"{store.kind}, {store.plan.precision}",
        "read": what,
        "s": f"{median_seconds(times[what]):.4f}",
        "CPU s per GB": f"{median_seconds(times[what], 'cpu') / (result.nbytes / 1e9):.2f}",
        f"{WHOLE} / this": f"{median_ratio(times[WHOLE], times[what]):.2f}",
        "cost / share": f"{median_ratio(times[what], times[WHOLE]) / share:.2f}",
        "peer / ours": f"{median_ratio(peer, times[what]):.1f}" if peer else "",
        "peer / ours, CPU time": f"{median_ratio(peer, times[what], 'cpu'):.1f}" if peer else "",
    }


@contextmanager
def _folder(config: SpeedConfig) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=config.folder) as folder:
        yield Path(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = tyro.cli(SpeedConfig, description=__doc__)
    print_table(compare_writing(settings))
    print()
    print_table(compare_reading(settings))
