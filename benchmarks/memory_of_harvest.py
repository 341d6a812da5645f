"""Peak resident memory of stage 1 for n, 4 n and 16 n rows, each in a new process (Linux).

The peak is the kernel's high-water mark of the process. It is reset after the model and the data set
are loaded, so that neither loading nor the parent process hides the memory of the harvest.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks._language_models import EVERY_TOKEN, ModelSize, harvest_config
from benchmarks._memory import resident_now, resident_peak
from benchmarks._report import print_table
from sparse_probing.activations.harvest import prepare_harvest, run_harvest
from sparse_probing.config import HarvestConfig

GROWTHS = (1, 4, 16)


@dataclass(frozen=True)
class MemoryConfig:
    """Sizes of the comparison."""

    size: ModelSize = "demo"
    """Shape of the random model."""
    n_sequences: int = 100
    """Sequences of the smallest data set; all their tokens are stored."""
    context_length: int = 128
    """Tokens of every sequence."""


@dataclass(frozen=True)
class Memory:
    """Resident memory of one harvest, in bytes."""

    rows: int
    stored: int
    """Bytes of all activations."""
    loaded: int
    """After the model and the data set are loaded, before the first forward pass."""
    peak: int
    """The largest value since then."""


def compare(config: MemoryConfig) -> list[dict[str, object]]:
    """Harvest n, 4 n and 16 n rows; return the rows of the table, and last the ratio of the largest to the smallest."""
    measured = [measure(config, config.n_sequences * growth) for growth in GROWTHS]
    small, large = measured[0], measured[-1]
    ratio = {
        "rows": f"{large.rows / small.rows:.2f} x",
        "stored, MB": f"{large.stored / small.stored:.2f} x",
        "loaded, MB": f"{large.loaded / small.loaded:.2f} x",
        "peak, MB": f"{large.peak / small.peak:.2f} x",
        "increase, MB": f"{(large.peak - large.loaded) / (small.peak - small.loaded):.2f} x",
    }
    return [{"model": config.size, **row} for row in (*map(_as_row, measured), ratio)]


def measure(config: MemoryConfig, n_sequences: int) -> Memory:
    """Harvest a data set of this many sequences in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        harvest = harvest_config(Path(folder), config.size, n_sequences, config.context_length, EVERY_TOKEN)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            return process.submit(memory_of_harvest, harvest).result()


def memory_of_harvest(config: HarvestConfig) -> Memory:
    """Harvest in this process and return its memory."""
    job = prepare_harvest(config)
    loaded = resident_now()
    run_harvest(job)
    return Memory(job.plan.n_rows, job.plan.nbytes, loaded, resident_peak())


def _as_row(memory: Memory) -> dict[str, str]:
    return {
        "rows": f"{memory.rows:,}",
        "stored, MB": f"{memory.stored / 1e6:.0f}",
        "loaded, MB": f"{memory.loaded / 1e6:.0f}",
        "peak, MB": f"{memory.peak / 1e6:.0f}",
        "increase, MB": f"{(memory.peak - memory.loaded) / 1e6:.0f}",
    }


if __name__ == "__main__":
    print_table(compare(tyro.cli(MemoryConfig, description=__doc__)))
