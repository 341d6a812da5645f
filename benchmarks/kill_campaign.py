"""Stage 1 killed with SIGKILL at random moments, and started again until its store is complete.

After every kill the records of finished parts are compared with those before it, and every file of a
recorded part with its checksum, while the other process of the store, if there is one, continues. A
complete store is compared, byte by byte, with that of an uninterrupted run. The exit status is 1 when a
claim fails.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import numpy as np
import tyro

from benchmarks._kills import Tally, Work, files_of, import_once, is_complete, run
from benchmarks._language_models import save_random_model
from benchmarks._report import print_table
from probing_datasets.building.tokenization import load_tokenizer, tokenizer_hash
from probing_datasets.feature_dataset import Description, Probes, build_feature_dataset
from sparse_probing.activations import harvest as stage_one
from sparse_probing.activations.harvesting.compute_parts import PartBuffers, compute_parts
from sparse_probing.activations.harvesting.part_writer import LARGEST_NUMBER_OF_BUFFERS
from sparse_probing.activations.store_operations.convert import convert
from sparse_probing.activations.stores import open_store
from sparse_probing.config import HarvestConfig, StoreKind

CONTEXT_LENGTH = 128
STORES: tuple[StoreKind, ...] = ("zarr", "hdf5")


@dataclass(frozen=True)
class CampaignConfig:
    """Length of the campaign."""

    kills: int = 150
    """Total number; each of the six kinds of work has an equal share."""
    n_sequences: int = 1024
    """Sequences of 128 tokens; all tokens are stored, and 32 sequences fill a part."""
    seed: int = 0
    """Seed of the moments of the kills."""


@dataclass(frozen=True)
class Kind:
    """A way of making a store."""

    name: str
    work_in: Callable[[Path], Work]
    """From a folder to the work that makes a store below it."""


def campaign(kinds: Sequence[Kind], kills: int, seed: int, folder: Path) -> dict[str, Tally]:
    """Kill and resume, one kind of work after the other; return the counts of each."""
    import_once()
    generator = np.random.default_rng(seed)
    shares = np.diff(np.linspace(0, kills, len(kinds) + 1).astype(int)).tolist()
    return {
        kind.name: kill_and_resume(kind, share, folder / f"kind {number}", generator)
        for number, (kind, share) in enumerate(zip(kinds, shares, strict=True))
    }


def kill_and_resume(kind: Kind, kills: int, folder: Path, generator: np.random.Generator) -> Tally:
    """Make stores, one after the other, until the number of kills is reached; every store is completed."""
    tally, uninterrupted = Tally(), kind.work_in(folder / "uninterrupted")
    seconds = run(uninterrupted, Tally(), {})
    expected = files_of(uninterrupted.path)
    while tally.kills < kills:
        store = folder / f"store {tally.stores}"
        work = kind.work_in(store)
        while not is_complete(work.path):
            n_processes = min(len(work.commands), kills - tally.kills)
            run(work, tally, dict(enumerate((seconds * generator.random(n_processes)).tolist())))
        tally.stores += 1
        tally.differing += files_of(work.path) != expected
        shutil.rmtree(store)
    return tally


def claims_hold(tally: Tally) -> bool:
    """Whether nothing was lost, torn or different, and no more parts were redone than there are buffers."""
    faults = tally.lost + tally.torn + tally.differing
    return faults == 0 and max(tally.redone, default=0) <= LARGEST_NUMBER_OF_BUFFERS


def make_kinds(folder: Path, n_sequences: int) -> Iterator[Kind]:
    """Yield harvests by one and by two processes, and conversions, with both encodings."""
    base = make_subject(folder, n_sequences)
    for store, n_processes in product(STORES, (1, 2)):
        name = f"harvest, {store}, {n_processes} process" + "es" * (n_processes - 1)
        yield Kind(name, partial(harvesting, base.with_flags(store=store, world_size=n_processes)))
    for store, other in (STORES, STORES[::-1]):
        source = base.with_flags(store=store, results_dir=folder / store)
        stage_one.harvest(source)
        yield Kind(f"convert, {store} to {other}", partial(converting, Path(str(source.store_folder())), other))


def make_subject(folder: Path, n_sequences: int) -> HarvestConfig:
    """Write a random model and random tokens, all of them labelled; return the settings of a harvest."""
    model, generator = folder / "model", np.random.default_rng(0)
    save_random_model(model, "tiny", CONTEXT_LENGTH)
    tokens = generator.integers(0, 1000, (n_sequences, CONTEXT_LENGTH)).astype(np.int32)
    sequence, position = np.divmod(np.arange(tokens.size), CONTEXT_LENGTH)
    probes = Probes(sequence, position, np.where(position % 2, 1.0, -1.0))
    groups = [f"document {number}" for number in range(n_sequences)]
    dataset = build_feature_dataset(_description(model), list(tokens), groups, {"odd": ("binary", probes)})
    path = folder / dataset.name
    dataset.save(path)
    return HarvestConfig.from_flags(
        model=str(model), random_init=True, feature_dataset=str(path), n_threads=1, rank=0, world_size=1
    )


def harvesting(config: HarvestConfig, folder: Path) -> Work:
    """Return the work of a harvest by ``config.share.world_size`` processes."""
    logs = tuple(folder / f"computed by {rank}" for rank in range(config.share.world_size))
    config = config.with_flags(results_dir=folder)
    commands = (partial(_harvest, config.with_flags(rank=rank), log) for rank, log in enumerate(logs))
    return Work(Path(str(config.store_folder())), tuple(commands), logs)


def converting(source: Path, store: StoreKind, folder: Path) -> Work:
    """Return the work of a conversion of a store by one process."""
    return Work(folder / "store", (partial(_convert, source, folder / "store", store),))


def _harvest(config: HarvestConfig, log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with patch.object(stage_one, "compute_parts", partial(_noting, log)):
        stage_one.harvest(config)


def _noting(log: Path, *arguments: Any) -> Iterator[tuple[int, PartBuffers]]:
    for part, buffers in compute_parts(*arguments):
        with log.open("a") as file:
            file.write(f"{part}\n")
        yield part, buffers


def _convert(source: Path, destination: Path, store: StoreKind) -> None:
    convert(open_store(source), destination, store)


def _description(model: Path) -> Description:
    return Description(
        name=f"random.tiny.{CONTEXT_LENGTH}.-1",
        collection="random",
        tokenizer=str(model),
        tokenizer_hash=tokenizer_hash(load_tokenizer(str(model))),
        context_length=CONTEXT_LENGTH,
        n_prefix=0,
        n_suffix=0,
        seed=0,
        source={},
        options={},
    )


def _as_row(name: str, tally: Tally) -> dict[str, object]:
    return {
        "kind": name,
        "kills": tally.kills,
        "amid parts": tally.amid_parts,
        "runs": tally.runs,
        "stores": tally.stores,
        "parts lost": tally.lost,
        "torn": tally.torn,
        "redone": f"{mean(tally.redone):.1f}, at most {max(tally.redone)}" if tally.redone else "",
        "final bytes identical": f"{tally.stores - tally.differing} of {tally.stores}",
    }


def main(config: CampaignConfig) -> int:
    """Run a campaign and print its table; return 1 when a claim fails, otherwise 0."""
    print(f"seed {config.seed}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kinds = list(make_kinds(Path(folder), config.n_sequences))
        tallies = campaign(kinds, config.kills, config.seed, Path(folder))
    print_table([_as_row(name, tally) for name, tally in tallies.items()])
    return 0 if all(map(claims_hold, tallies.values())) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(CampaignConfig, description=__doc__)))
