"""Results that the campaign damages: the commands that make them, the commands that check them, and their numbers."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from benchmarks._language_models import save_dataset, save_random_model
from probing_datasets import __main__ as datasets_command
from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.errors import CorruptStoreError
from sparse_probing.activations.harvesting import prepare as harvest_settings
from sparse_probing.activations.statistics import counting
from sparse_probing.activations.statistics import prepare as histogram_settings
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.subset import prepare as subset_settings
from sparse_probing.activations.tables.result_folder import damaged_files
from sparse_probing.commands import get_activations, probing_experiment
from sparse_probing.neurons import export
from sparse_probing.neurons.load import load_neurons
from sparse_probing.runs.load_results import load_results

MODEL, DATASET = "inputs/model", "natural_lang_id.model.32.-1"
"""The model has random weights; both are below the working directory."""

MAINS: dict[str, Callable[[], int]] = {
    "get_activations": get_activations.main,
    "probing_experiment": probing_experiment.main,
    "probing_datasets": datasets_command.main,
    "export": export.main,
}
TIMES = ["seconds", "seconds_to_support"]
"""Columns of rows that differ from one solve to the next."""

Line = tuple[str, ...]
"""A command and its arguments; an argument with * is a pattern of paths."""


@dataclass(frozen=True)
class Subject:
    """A result, by the commands about it."""

    name: str
    make: Line
    """Makes the result; called again, it resumes."""
    checks: tuple[Line, ...]
    """Read the result and must find that it is damaged, or print nothing wrong."""
    read: Callable[[], bytes]
    """Read the numbers of the complete result in the working directory."""
    folder: str
    """Where the result is, below the working directory."""
    repair: tuple[str, ...] = ()
    """Further arguments of ``make`` with which finished files are compared with their checksums."""
    before: tuple[Line, ...] = field(default=())
    """Commands whose results it needs."""


def make_inputs(folder: Path) -> None:
    """Write the model and the data set that all subjects share."""
    save_random_model(folder / MODEL, "tiny", 32)
    save_dataset(
        folder / "feature_datasets", folder / MODEL, n_sequences=96, context_length=32, positions_per_sequence=4
    )


def call(line: Line) -> int:
    """Run a command line in this process, with small parts; return the exit status."""
    name, *arguments = line
    sys.argv = [name, *(path for argument in arguments for path in _expanded(argument))]
    with small_parts():
        return MAINS[name]()


def read(subject: Subject) -> int:
    """Print the digest of the numbers of a subject; errors end as those of a command."""
    return run_command(lambda: print("digest", hashlib.sha256(subject.read()).hexdigest()))


@contextmanager
def small_parts() -> Iterator[None]:
    """Cut results into a few parts each, and keep what is counted after every block."""
    with ExitStack() as stack:
        for module, name, value in (
            (harvest_settings, "choose_part_rows", lambda n_rows, _: -(-n_rows // 3)),
            (subset_settings, "PART_SEQUENCES", 32),
            (histogram_settings, "BLOCK_SEQUENCES", 32),
            (counting, "CHECKPOINT_COST", 10**9),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


def subjects() -> Iterator[Subject]:
    """Yield all subjects."""
    inputs = ("--model", MODEL, "--random_init", "--feature_dataset", DATASET)
    for store in ("zarr", "hdf5"):
        harvest: Line = ("get_activations", *inputs, "--store", store, "--activation_aggregation", "mean")
        place = "results/activations/model+random0/*/*"
        checks: tuple[Line, ...] = (("get_activations", "verify", place), ("get_activations", "describe", place))
        yield Subject(f"store, {store}", harvest, checks, _read_store, "results/activations", ("--resume",))
    harvest = ("get_activations", *inputs, "--activation_aggregation", "mean")
    yield Subject(
        "converted store",
        ("get_activations", "convert", "results/activations/*/*/*", "results/copy", "--store", "hdf5"),
        (("get_activations", "verify", "results/copy"), ("get_activations", "describe", "results/copy")),
        partial(_read_store, "results/copy"),
        "results/copy",
        before=(harvest,),
    )
    for name, flags in (
        ("full_activation_histogram", ("--histogram_by_class",)),
        ("neuron_subset", ("--neuron_subset", "0,3", "1,7", "--save_by_neuron")),
    ):
        make: Line = ("get_activations", "--experiment_type", name, *inputs, *flags)
        check: Line = ("get_activations", "verify", f"results/{name}/*/*/*")
        yield Subject(name, make, (check,), partial(_read_tables, name), f"results/{name}", ("--resume",))
    flags = (*inputs, "--activation_aggregation", "mean", "--regularization", "1", "--n_permutations", "99")
    flags += ("--ks", "1", "2", "--max_k", "2", "--osp_timeout", "30", "--features_per_task", "1", "--layers", "0", "1")
    flags += ("--feature_subset", "Dutch", "Spanish")
    flags += ("--experiment_type", "all_neurons", "optimal_sparse_probing")
    run = ("probing_experiment", *flags, "--cluster", "debug")
    checks = (("probing_experiment", "status", *flags), ("probing_experiment", "verify", *flags))
    yield Subject("run", run, checks, _read_run, "results/probing", before=(harvest,))
    yield Subject(
        "exported neurons",
        ("export", RUN),
        (),
        _read_exported,
        "interpretable_neurons",
        before=(harvest, run),
    )
    yield Subject(
        "feature data set",
        harvest,
        (("probing_datasets", "describe", DATASET),),
        _read_dataset,
        f"feature_datasets/{DATASET}",
    )


RUN = "results/probing/*/*/*/*/*/????????"
"""Folder of the only run."""


def _expanded(argument: str) -> list[str]:
    return [str(p) for p in Path().glob(argument) if p.is_dir()] or [argument] if "*" in argument else [argument]


def _read_exported() -> bytes:
    return load_neurons("model+random0", folder="interpretable_neurons").to_csv().encode()


def _read_dataset() -> bytes:
    return load_feature_dataset(DATASET, "feature_datasets").description.content_hash.encode()


def _read_store(pattern: str = "results/activations/*/*/*") -> bytes:
    (folder,) = Path().glob(pattern)
    store = open_store(folder)
    layers = [np.ascontiguousarray(store.layer(layer)) for layer in store.plan.layers]
    return b"".join(array.tobytes() for array in [*layers, *store.rows])


def _read_tables(name: str) -> bytes:
    (folder,) = Path("results").glob(f"{name}/*/*/*")
    if damages := damaged_files(folder):  # pandas reads the tables; `verify` finds what it would not notice
        raise CorruptStoreError(f"{folder} is damaged: {damages}")
    frames = [pd.read_parquet(path) for path in sorted(folder.rglob("*.parquet"))]
    return b"".join(frame.to_csv().encode() for frame in frames)


def _read_run() -> bytes:
    (folder,) = Path().glob(RUN)
    return load_results(folder).drop(columns=TIMES, errors="ignore").to_csv().encode()
