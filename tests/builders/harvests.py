"""Helpers for tests of stage 1: models that are loaded once, small parts, a reference by plain hooks, damaged files."""

import functools
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from probing_datasets.feature_dataset import FeatureDataset
from sparse_probing.models import load_model

HOOK = "mlp.hook_post"
PART_ROWS = 100

load_model_once = functools.cache(load_model)
"""`load_model`, for all tests together."""


def mlp_activations(model_folder: Path, dataset: FeatureDataset) -> dict[int, list[np.ndarray]]:
    """Return (length, 48) float32 of every sequence, by layer: plain hooks on the tiny model, without padding."""
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    by_layer: dict[int, list[np.ndarray]] = {0: [], 1: []}

    def keep(activations, _module, _inputs, output):
        activations.append(output[0].numpy())

    for layer, activations in by_layer.items():
        act = model.get_submodule(f"gpt_neox.layers.{layer}.mlp.act")
        act.register_forward_hook(functools.partial(keep, activations))
    with torch.inference_mode():
        for tokens in dataset.sequences["tokens"]:
            model(torch.tensor([tokens]))
    return by_layer


def file_contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Return the bytes of the files below a folder, by name relative to it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob(pattern)) if p.is_file()}


def modification_times(folder: Path, pattern: str = "*") -> dict[Path, int]:
    """Return the modification time in nanoseconds of everything below a folder."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob(pattern)}


def flip_bit(path: Path, offset: int | None = None) -> None:
    """Flip one bit of a file: of the byte at an offset, by default of the middle byte."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if offset is None else offset] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Remove the last 100 bytes of a file."""
    path.write_bytes(path.read_bytes()[:-100])
