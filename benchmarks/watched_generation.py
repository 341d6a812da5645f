"""The time of a generation that probes watch, against the same generation without them.

Both call ``generate`` of the same model with the same prompt and choose the same tokens. The scores are then compared
with a full pass of the finished sequences. Ratios are paired: within a turn, one contender runs after the other.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import tyro

from benchmarks._report import alternate, median_ratio, median_seconds, print_table
from sparse_probing.models import LanguageModel, load_model
from sparse_probing.monitoring.generation import WatchedGeneration, watch
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import ProbeOrigin

PROMPT = "I think that the weather of the last days has been"


@dataclass(frozen=True)
class WatchedGenerationConfig:
    """Sizes of the comparison."""

    model: str = "demo"
    """Name or folder of a model that generates."""
    device: str = "cpu"
    n_new: int = 100
    """Tokens of a generation."""
    batch_sizes: tuple[int, ...] = (1, 8)
    """Sequences that are generated together."""
    n_outputs: int = 7
    """Scores of each probe."""
    hook_point: str = "hook_resid_post"
    repeats: int = 7
    threads: int = 1
    """Threads of PyTorch."""


def compare(config: WatchedGenerationConfig) -> list[dict[str, object]]:
    """Time probes of one layer and of all layers; return the rows of the table."""
    torch.set_num_threads(config.threads)
    model = load_model(config.model, device=config.device)
    layers = {"last": [model.n_layers - 1], "all": list(range(model.n_layers))}
    return [
        _compare_case(config, model, of_layers, batch_size)
        for batch_size in config.batch_sizes
        for of_layers in layers.values()
    ]


def _compare_case(
    config: WatchedGenerationConfig, model: LanguageModel, layers: list[int], batch_size: int
) -> dict[str, object]:
    probes = [random_probe(model, config.hook_point, layer, config.n_outputs) for layer in layers]
    ids = model.tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    inputs = {
        "input_ids": ids.repeat(batch_size, 1).to(model.device),
        "max_new_tokens": config.n_new,
        "do_sample": False,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    results: list[WatchedGeneration] = []
    contenders = {
        "bare": partial(_generate, model, inputs),
        "watched": lambda: results.append(_watch(model, probes, inputs)),
    }
    times = alternate(contenders, config.repeats)
    return {
        "model": config.model,
        "device": config.device,
        "sequences": batch_size,
        "new tokens": config.n_new,
        "probes x scores": f"{len(probes)} x {config.n_outputs}",
        "watched, s": f"{median_seconds(times['watched']):.2f}",
        "watched / bare": f"{median_ratio(times['watched'], times['bare']):.3f}",
        "watched / bare, CPU time": f"{median_ratio(times['watched'], times['bare'], 'cpu'):.3f}",
        "largest difference from a full pass": f"{largest_difference(model, probes, results[-1]):.1e}",
    }


def random_probe(model: LanguageModel, hook_point: str, layer: int, n_outputs: int) -> ProbeData:
    """Return a dense probe of standardised activations with random coefficients."""
    rng = np.random.default_rng(layer)
    width = model.widths([hook_point], [layer])[hook_point]
    return ProbeData(
        feature=f"layer {layer}",
        kind="multiclass",
        classes=tuple(f"class {i}" for i in range(n_outputs)),
        model=model.name,
        revision=None,
        random_init=None,
        weight_hash=model.weight_hash,
        tokenizer_hash=model.tokenizer_hash,
        dtype="float32",
        layer=layer,
        hook_point=hook_point,
        aggregation="mean",
        prefix=(),
        suffix=(),
        context_length=model.context_length,
        support=np.arange(width),
        coef=rng.normal(size=(n_outputs, width)) / np.sqrt(width),
        intercept=rng.normal(size=n_outputs),
        mean=rng.normal(size=width),
        scale=rng.uniform(0.5, 2.0, size=width),
        link="softmax",
        prior=np.zeros(n_outputs),
        temperature=1.0,
        threshold=0.0,
        threshold_origin="",
        provenance=ProbeOrigin("none", "", "none", "random", "not fitted", 0, 1, 1),
    )


def _generate(model: LanguageModel, inputs: dict[str, object]) -> object:
    return cast(Any, model.model).generate(**inputs)


def _watch(model: LanguageModel, probes: list[ProbeData], inputs: dict[str, object]) -> WatchedGeneration:
    with watch(model, probes) as watched:
        _generate(model, inputs)
    return copy.copy(watched)


def largest_difference(model: LanguageModel, probes: list[ProbeData], watched: WatchedGeneration) -> float:
    """Return the largest distance of a score from that of a full pass, relative to the deviation of the scores."""
    kept: dict[str, np.ndarray] = {}
    names = [f"blocks.{probe.layer}.{probe.hook_point}" for probe in probes]

    def keep(name: str, activation: torch.Tensor) -> None:
        kept[name] = activation.double().cpu().numpy()

    tokens = torch.from_numpy(watched.tokens)
    model.run(tokens, torch.ones_like(tokens), {name: partial(keep, name) for name in names})
    scores = np.concatenate([p.scores_of(kept[name]) for p, name in zip(probes, names, strict=True)], axis=-1)
    return float((np.abs(watched.scores - scores) / scores.std(axis=(0, 1))).max())


if __name__ == "__main__":
    print_table(compare(tyro.cli(WatchedGenerationConfig)))
