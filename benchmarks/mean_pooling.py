"""The mean over the tokens of a sequence: one product with the mask against the sum of a masked copy, on a CPU.

The contenders pool the same activations, of which there are enough that none is in a cache. The quality is the largest
difference of the two, in units of the rounding of float32 at the largest mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import tyro

from benchmarks._report import alternate, median_ratio, median_seconds, print_table
from sparse_probing.activations.model_pass.pooling import pool

Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class PoolingBenchmark:
    """Sizes of the comparison."""

    widths: tuple[int, ...] = (128, 512, 1536)
    batch_size: int = 32
    length: int = 64
    """Positions of a batch; a sequence has half of them at least."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    megabytes: float = 200
    """Size of all activations of a round."""
    repeats: int = 9
    threads: int = 1


def sum_of_masked_copy(activations: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the mean (batch, width) over valid positions."""
    total = activations.masked_fill(~valid[..., None], 0).sum(1, dtype=torch.float32)
    return total / valid.sum(1, keepdim=True)


def compare(config: PoolingBenchmark) -> list[dict[str, object]]:
    """Time both for every width and precision; return the rows of the table."""
    torch.set_num_threads(config.threads)
    return [_compare_size(config, width, dtype) for dtype in config.dtypes for width in config.widths]


@torch.inference_mode()
def _compare_size(config: PoolingBenchmark, width: int, dtype: str) -> dict[str, object]:
    random = torch.Generator().manual_seed(0)
    shape = (config.batch_size, config.length, width)
    one = torch.randn(shape, generator=random).to(getattr(torch, dtype))
    batches = [one.clone() for _ in range(max(1, int(config.megabytes * 1e6 / one.nbytes)))]
    lengths = torch.randint(config.length // 2, config.length + 1, (config.batch_size, 1), generator=random)
    valid = torch.arange(config.length) < lengths
    contenders: dict[str, Pool] = {"ours": partial(pool, pooling="mean"), "masked": sum_of_masked_copy}
    times = alternate(
        {name: partial(_pool_all, way, batches, valid) for name, way in contenders.items()}, config.repeats
    )
    ours, masked = (way(one, valid) for way in contenders.values())
    rounding = torch.finfo(torch.float32).eps * float(masked.abs().max())
    return {
        "activations": f"{config.batch_size} x {config.length} x {width}",
        "dtype": dtype,
        "ours, ms": f"{1e3 * median_seconds(times['ours'], 'cpu') / len(batches):.3f}",
        "masked / ours, CPU time": f"{median_ratio(times['masked'], times['ours'], 'cpu'):.1f}",
        "largest difference, roundings": f"{float((ours - masked).abs().max()) / rounding:.1f}",
    }


def _pool_all(way: Pool, batches: list[torch.Tensor], valid: torch.Tensor) -> None:
    for batch in batches:
        way(batch, valid)


if __name__ == "__main__":
    print_table(compare(tyro.cli(PoolingBenchmark, description=__doc__)))
