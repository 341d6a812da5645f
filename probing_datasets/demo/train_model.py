"""Train the bundled demo language model: a GPT-NeoX on any folder of text.

Run ``python -m probing_datasets.demo.train_model --help``.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from tokenizers import ByteLevelBPETokenizer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from probing_datasets.demo.corpus import (
    END_OF_TEXT,
    hash_fraction,
    read_source_tree,
    read_text_folder,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that determines the demo model."""

    output: Path
    """Folder for weights, tokenizer and training figures."""
    text: tuple[Path, ...] = ()
    """Folders of .txt or .txt.zst files; a file is a sub-corpus, documents end with <|endoftext|>."""
    code: tuple[Path, ...] = ()
    """Folders or zips of source files; a language (by file extension) is a sub-corpus."""
    max_code_bytes: int = 1_500_000
    """Bytes of source text per language and folder."""
    weights: dict[str, float] = field(default_factory=dict)
    """Share of training sequences of a sub-corpus (or of all of 'code'); the others share the rest by size."""
    tokens: int = 12_000_000
    """Number of training tokens."""
    vocab_size: int = 8192
    hidden_size: int = 128
    n_layers: int = 4
    context_length: int = 256
    batch_size: int = 8
    learning_rate: float = 4e-3
    held_out: float = 0.02
    """Fraction of documents kept for the held-out loss."""
    seed: int = 0
    compile: bool = False
    """Use torch.compile (needs a C++ compiler)."""


def load_corpus(config: TrainingConfig) -> dict[str, list[str]]:
    """Read all documents, keyed by sub-corpus."""
    corpus: dict[str, list[str]] = {}
    for folder in config.text:
        for name, document in read_text_folder(folder):
            corpus.setdefault(name, []).append(document)
    for root in config.code:
        for language, document in read_source_tree(root, config.max_code_bytes):
            corpus.setdefault(f"code:{language}", []).append(document)
    return corpus


def split_held_out(corpus: dict[str, list[str]], fraction: float) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Split documents by a hash of their text into training and held-out corpora."""
    train = {k: [d for d in v if hash_fraction(d) >= fraction] for k, v in corpus.items()}
    held_out = {k: [d for d in v if hash_fraction(d) < fraction] for k, v in corpus.items()}
    return train, {k: v for k, v in held_out.items() if v}


def sampling_weights(sizes: dict[str, int], given: dict[str, float]) -> dict[str, float]:
    """Return the probability of each sub-corpus: its given share, or a share of the rest by the root of its size."""
    shares: dict[str, float] = {}
    for key, share in given.items():
        members = [n for n in sizes if n == key or n.startswith(f"{key}:")]
        root = {n: sizes[n] ** 0.5 for n in members}
        shares |= {n: share * root[n] / sum(root.values()) for n in members}
    rest = {n: s**0.5 for n, s in sizes.items() if n not in shares}
    rest_share = 1.0 - sum(shares.values())
    shares |= {n: rest_share * s / sum(rest.values()) for n, s in rest.items()}
    total = sum(shares.values())  # below 1 when all sub-corpora have a given share
    return {n: s / total for n, s in shares.items()}


def train_tokenizer(
    corpus: dict[str, list[str]], weights: dict[str, float], vocab_size: int
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on up to 30 MB, mixed like the training sequences."""
    sample = []
    for name, documents in corpus.items():
        budget = 30_000_000 * weights[name]
        for document in documents:
            if budget <= 0:
                break
            sample.append(document)
            budget -= len(document)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(sample, vocab_size=vocab_size, special_tokens=[END_OF_TEXT])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
    )


def encode(tokenizer: PreTrainedTokenizerFast, documents: list[str]) -> np.ndarray:
    """Concatenate the tokens (uint16) of all documents; each document begins with the end-of-text token."""
    pieces: list[np.ndarray] = []
    for start in range(0, len(documents), 256):
        for ids in tokenizer(documents[start : start + 256], add_special_tokens=False)["input_ids"]:
            pieces.append(np.array([tokenizer.bos_token_id, *ids], dtype=np.uint16))
    return np.concatenate(pieces)


def build_model(config: TrainingConfig, bos_token_id: int) -> GPTNeoXForCausalLM:
    """Return a randomly initialised GPT-NeoX of the configured size."""
    torch.manual_seed(config.seed)
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=4,
            intermediate_size=4 * config.hidden_size,
            max_position_embeddings=config.context_length,
            use_parallel_residual=True,
            tie_word_embeddings=False,
            bos_token_id=bos_token_id,
            eos_token_id=bos_token_id,
        )
    )


class Batches:
    """Endless batches of random windows of the training corpora; each window begins with the BOS token."""

    def __init__(self, data: dict[str, np.ndarray], weights: dict[str, float], config: TrainingConfig, bos: int):
        self._names = sorted(data)
        self._data = data
        self._p = np.array([weights[n] for n in self._names])
        self._rng = np.random.default_rng(config.seed)
        self._shape = (config.batch_size, config.context_length)
        self._bos = bos

    def __next__(self) -> torch.Tensor:
        batch = np.empty(self._shape, dtype=np.int64)
        for row, pick in zip(batch, self._rng.choice(len(self._p), len(batch), p=self._p), strict=True):
            stream = self._data[self._names[pick]]
            start = self._rng.integers(max(1, len(stream) - len(row)))
            window = stream[start : start + len(row) - 1]
            row[0] = self._bos
            row[1:] = np.resize(window, len(row) - 1)
        return torch.from_numpy(batch)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the rate of a step: linear warm-up over 2 % of the steps, then cosine decay to 5 % of the peak."""
    warm = max(1, steps // 50)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))))


def loss_of(model, batch: torch.Tensor) -> torch.Tensor:
    """Return the mean next-token cross-entropy in nats."""
    logits = model(batch).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def optimise(model, batches: Batches, config: TrainingConfig) -> list[dict[str, float]]:
    """Run AdamW over the configured number of tokens; return the loss curve."""
    steps = config.tokens // (config.batch_size * config.context_length)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95))
    forward = torch.compile(model) if config.compile else model
    curve, running, start = [], 0.0, time.perf_counter()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, config.learning_rate)
        loss = loss_of(forward, next(batches))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if step % 100 == 99 or step == steps - 1:
            seconds = round(time.perf_counter() - start, 1)
            curve.append({"step": step + 1, "loss": round(running, 4), "seconds": seconds})
            logger.info("step %d of %d, loss %.3f, %.0f s", step + 1, steps, running, seconds)
    return curve


@torch.no_grad()
def held_out_loss(model, data: dict[str, np.ndarray], context_length: int) -> dict[str, float]:
    """Return the mean loss in nats per token on up to 40 windows of each held-out sub-corpus."""
    model.eval()
    losses = {}
    for name, stream in data.items():
        n = min(40, len(stream) // context_length)
        if n:
            windows = stream[: n * context_length].astype(np.int64).reshape(n, context_length)
            losses[name] = round(loss_of(model, torch.from_numpy(windows)).item(), 4)
    return losses


def train(config: TrainingConfig) -> dict:
    """Train and save the model, its tokenizer and ``training.json``; return the figures."""
    corpus, held_out = split_held_out(load_corpus(config), config.held_out)
    sizes = {name: sum(map(len, documents)) for name, documents in corpus.items()}
    weights = sampling_weights(sizes, config.weights)
    tokenizer = train_tokenizer(corpus, weights, config.vocab_size)
    tokenizer.model_max_length = config.context_length
    bos: int = tokenizer.convert_tokens_to_ids(END_OF_TEXT)  # type: ignore[assignment]
    data = {name: encode(tokenizer, documents) for name, documents in corpus.items()}
    held_out_data = {name: encode(tokenizer, documents) for name, documents in held_out.items()}
    model = build_model(config, bos)
    initial = held_out_loss(model, held_out_data, config.context_length)
    model.train()
    curve = optimise(model, Batches(data, weights, config, bos), config)
    config.output.mkdir(parents=True, exist_ok=True)
    figures = {
        "config": {k: v for k, v in asdict(config).items() if k not in {"output", "text", "code"}},
        "parameters": sum(p.numel() for p in model.parameters()),
        "characters": sizes,
        "sampling_weights": {k: round(v, 4) for k, v in weights.items()},
        "held_out_loss": held_out_loss(model, held_out_data, config.context_length),
        "held_out_loss_at_initialisation": initial,
        "curve": curve,
    }
    model.half().save_pretrained(config.output)
    tokenizer.save_pretrained(config.output)
    (config.output / "training.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def main() -> None:
    """Command line of the training script."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    figures = train(tyro.cli(TrainingConfig, description=__doc__))
    logger.info("held-out loss: %s", figures["held_out_loss"])


if __name__ == "__main__":
    main()
