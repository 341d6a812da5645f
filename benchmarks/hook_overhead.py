"""Hooks on modules of the Hugging Face model against the bare forward pass, and against hooks under a bridge.

All contenders read the activation of the last token of every sequence at one or more hook
points. The peers, each in the few lines of its recipe with TransformerLens' bridge:

- bare: the Hugging Face base model, its default attention (sdpa), no hook;
- run_with_cache: TransformerLens, with the names of the hook points to cache;
- SAELens: its `ActivationsStore` caches one hook point and stops after its layer, so every
  further layer is a further pass;
- sae-probes: caches all requested hook points, stops after the last of their layers, and selects
  the last token of every sequence.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from transformer_lens.model_bridge import TransformerBridge

from benchmarks._language_models import ModelSize, save_random_model
from benchmarks._report import Contender, alternate, median_ratio, median_seconds, print_table
from sparse_probing.models import LanguageModel, load_model
from sparse_probing.models.hook_points import build_bridge

LastTokens = dict[str, torch.Tensor]
"""Activation (sequences, width) of the last token by hook point."""


@dataclass(frozen=True)
class HookOverheadConfig:
    """Sizes of the comparison."""

    sizes: tuple[ModelSize, ...] = ("demo", "pythia-70m")
    """Shapes of the random models."""
    batch_size: int = 8
    context_length: int = 128
    """Tokens of every sequence."""
    repeats: int = 5
    threads: int = 1
    """Threads of PyTorch, the same for all contenders."""


def compare(config: HookOverheadConfig) -> list[dict[str, object]]:
    """Time every model size and choice of hook points; return the rows of the table."""
    torch.set_num_threads(config.threads)
    return [row for size in config.sizes for row in _compare_size(config, size)]


def _compare_size(config: HookOverheadConfig, size: ModelSize) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), size, config.context_length)
        model = load_model(folder, random_init=True)
    bridge = build_bridge(copy.deepcopy(model.model))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(
        model.model.config.vocab_size, (config.batch_size, config.context_length), generator=generator
    )
    cases = [("mlp.hook_post", model.n_layers), ("hook_resid_post", model.n_layers), ("mlp.hook_post", 1)]
    return [_compare_case(config, size, model, bridge, tokens, hook, n) for hook, n in cases]


def _compare_case(
    config: HookOverheadConfig,
    size: ModelSize,
    model: LanguageModel,
    bridge: TransformerBridge,
    tokens: torch.Tensor,
    hook_point: str,
    n_layers: int,
) -> dict[str, object]:
    names = [f"blocks.{layer}.{hook_point}" for layer in range(n_layers)]
    peers: dict[str, Contender] = {
        "bare": partial(bare_forward, model, tokens),
        "run_with_cache": partial(run_with_cache, bridge, tokens, names),
        "SAELens": partial(as_saelens, bridge, tokens, names),
        "sae-probes": partial(as_sae_probes, bridge, tokens, names),
    }
    times = alternate({"ours": partial(hooks_only, model, tokens, names), **peers}, config.repeats)
    return {
        "model": size,
        "hook point": hook_point,
        "layers": n_layers,
        "sequences x tokens": f"{config.batch_size} x {config.context_length}",
        "ours, s": f"{median_seconds(times['ours']):.3f}",
        "ours / bare": f"{median_ratio(times['ours'], times['bare']):.2f}",
        "ours / bare, CPU time": f"{median_ratio(times['ours'], times['bare'], 'cpu'):.2f}",
        **{f"{peer} / ours": f"{median_ratio(times[peer], times['ours']):.1f}" for peer in list(peers)[1:]},
        "largest difference": f"{largest_difference(model, bridge, tokens, names):.1e}",
    }


def hooks_only(model: LanguageModel, tokens: torch.Tensor, names: list[str]) -> LastTokens:
    """Run our hooks; return the last tokens."""
    last_tokens: LastTokens = {}

    def keep(name: str, activation: torch.Tensor) -> None:
        last_tokens[name] = activation[:, -1].clone()

    model.run(tokens, torch.ones_like(tokens), {name: partial(keep, name) for name in names})
    return last_tokens


def bare_forward(model: LanguageModel, tokens: torch.Tensor) -> None:
    """Run the Hugging Face base model and store nothing."""
    with torch.inference_mode():
        model.model.base_model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)


def run_with_cache(bridge: TransformerBridge, tokens: torch.Tensor, names: list[str]) -> LastTokens:
    """Run TransformerLens' bridge and cache the hook points."""
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(tokens, names_filter=names)
    return {name: cache[name][:, -1].clone() for name in names}


def as_saelens(bridge: TransformerBridge, tokens: torch.Tensor, names: list[str]) -> LastTokens:
    """Run one pass for every hook point, up to its layer."""
    last_tokens: LastTokens = {}
    for name in names:
        with torch.no_grad():
            _, cache = bridge.run_with_cache(
                tokens, names_filter=[name], stop_at_layer=_layer(name) + 1, prepend_bos=False
            )
        last_tokens[name] = cache[name][:, -1].clone()
    return last_tokens


def as_sae_probes(bridge: TransformerBridge, tokens: torch.Tensor, names: list[str]) -> LastTokens:
    """Run one pass up to the last requested layer, then select the last tokens one by one."""
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(tokens, names_filter=names, stop_at_layer=max(map(_layer, names)) + 1)
        return {name: torch.stack([sequence[-1].cpu() for sequence in cache[name]]) for name in names}


def _layer(name: str) -> int:
    return int(name.split(".")[1])


def largest_difference(
    model: LanguageModel, bridge: TransformerBridge, tokens: torch.Tensor, names: list[str]
) -> float:
    """Return the largest distance between an activation of ours and one of TransformerLens' bridge."""
    ours, theirs = hooks_only(model, tokens, names), run_with_cache(bridge, tokens, names)
    return max(float((ours[name] - theirs[name]).abs().max()) for name in names)


if __name__ == "__main__":
    print_table(compare(tyro.cli(HookOverheadConfig, description=__doc__)))
