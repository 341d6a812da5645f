"""Stage 1 against only the forward pass, on the same batches.

Ours is `sparse_probing.activations.harvest.run_harvest`: all layers of ``mlp.hook_post`` in float16,
checksummed and durable on the disk. The peer is the Hugging Face base model (no unembedding, no
cache of keys and values, inference mode, scaled-dot-product attention) with nothing stored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from benchmarks._language_models import EVERY_TOKEN, ModelSize, harvest_config
from benchmarks._report import alternate, median_ratio, median_seconds, print_table
from probing_datasets.feature_dataset import Aggregation
from sparse_probing.activations.harvest import PreparedHarvest, prepare_harvest, run_harvest
from sparse_probing.activations.model_pass.batches import Batch, part_batches
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.activations.stores import ActivationStore, open_store
from sparse_probing.activations.stores.storage.files import remove_tree


@dataclass(frozen=True)
class OverheadConfig:
    """Sizes of the comparison."""

    sizes: tuple[ModelSize, ...] = ("demo",)
    """Shapes of the random models."""
    n_sequences: int = 64
    context_length: int = 128
    """Tokens of every sequence."""
    repeats: int = 3
    threads: int = 1
    """Threads of PyTorch, the same for all contenders; ours writes in one more."""


@dataclass(frozen=True)
class Case:
    """What is stored of every sequence."""

    aggregation: Aggregation
    positions: int


def cases(config: OverheadConfig) -> dict[str, Case]:
    """Return the cases by their name in the table."""
    return {
        "every token": Case("none", EVERY_TOKEN),
        "one token in ten": Case("none", config.context_length // 10),
        "mean": Case("mean", 1),
    }


def compare(config: OverheadConfig) -> list[dict[str, object]]:
    """Time every model size and case; return the rows of the table."""
    torch.set_num_threads(config.threads)
    return [_compare_case(config, size, name, case) for size in config.sizes for name, case in cases(config).items()]


def _compare_case(config: OverheadConfig, size: ModelSize, name: str, case: Case) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        settings = harvest_config(
            Path(folder), size, config.n_sequences, config.context_length, case.positions, case.aggregation
        )
        job = prepare_harvest(settings.with_flags(n_threads=config.threads))
        batches, peer = list(_batches(job)), bare_model(job)
        contenders = {"ours": partial(_harvest_anew, job), "bare": partial(_forward, peer, batches)}
        times = alternate(contenders, config.repeats)
        error = largest_difference(open_store(job.config.store_folder()), peer, job)
    return {
        "model": size,
        "stored": name,
        "sequences x tokens": f"{config.n_sequences} x {config.context_length}",
        "rows": f"{job.plan.n_rows:,}",
        "MB": f"{job.plan.nbytes / 1e6:.1f}",
        "ours, s": f"{median_seconds(times['ours']):.2f}",
        "ours / bare": f"{median_ratio(times['ours'], times['bare']):.2f}",
        "ours / bare, CPU time": f"{median_ratio(times['ours'], times['bare'], 'cpu'):.2f}",
        "largest difference": f"{error:.1e}",
    }


def largest_difference(store: ActivationStore, peer: PreTrainedModel, job: PreparedHarvest) -> float:
    """Return the largest distance of a stored value of the first part from the bare model's activation."""
    start, stop = job.plan.part_range(0)
    stored = [torch.from_numpy(store.read(layer, rows=slice(start, stop))) for layer in job.plan.layers]
    worst = 0.0
    for batch in part_batches(job.dataset, job.rows, start, stop, job.config.forward_pass.batch_size):
        for layer, activation in enumerate(_mlp_activations(peer, batch)):
            expected = _rows_of(batch, activation, job.config.activations.activation_aggregation)
            worst = max(worst, float((stored[layer][batch.row] - expected).abs().max()))
    return worst


def _rows_of(batch: Batch, activation: torch.Tensor, aggregation: Aggregation) -> torch.Tensor:
    if aggregation == "none":
        return activation[batch.sequence, batch.position]
    return pool(activation, batch.poolable, aggregation)[batch.sequence]


def _mlp_activations(peer: PreTrainedModel, batch: Batch) -> list[torch.Tensor]:
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        kept.append(output)

    layers = [f"gpt_neox.layers.{layer}.mlp.act" for layer in range(peer.config.num_hidden_layers)]
    handles = [peer.get_submodule(name).register_forward_hook(keep) for name in layers]
    _forward(peer, [batch])
    for handle in handles:
        handle.remove()
    return kept


def _batches(job: PreparedHarvest) -> Iterator[Batch]:
    for part in range(job.plan.n_parts):
        yield from part_batches(job.dataset, job.rows, *job.plan.part_range(part), job.config.forward_pass.batch_size)


def bare_model(job: PreparedHarvest) -> PreTrainedModel:
    """Build the model of a harvest once more, with the same random weights."""
    torch.manual_seed(job.config.activations.seed)
    config = AutoConfig.from_pretrained(job.config.activations.model)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def _forward(peer: PreTrainedModel, batches: list[Batch]) -> None:
    with torch.inference_mode():
        for batch in batches:
            peer.base_model(input_ids=batch.tokens, attention_mask=batch.mask, use_cache=False)


def _harvest_anew(job: PreparedHarvest) -> None:
    if job.config.store_folder().exists():
        remove_tree(job.config.store_folder())
    run_harvest(job)


if __name__ == "__main__":
    print_table(compare(tyro.cli(OverheadConfig, description=__doc__)))
