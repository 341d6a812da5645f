"""Random GPT-NeoX models of known sizes, and data sets of the bundled texts for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, NamedTuple

from tokenizers import ByteLevelBPETokenizer
from transformers import GPTNeoXConfig, PreTrainedTokenizerFast

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.demo import DEMO_MODEL_PATH, DEMO_TEXTS
from probing_datasets.feature_dataset import Aggregation
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.config import HarvestConfig

ModelSize = Literal["tiny", "demo", "pythia-70m"]


class Shape(NamedTuple):
    """Of a GPT-NeoX; its MLP is four times as wide as its residual stream."""

    n_layers: int
    d_model: int
    n_heads: int
    vocabulary: int


SHAPES: dict[ModelSize, Shape] = {
    "tiny": Shape(n_layers=2, d_model=16, n_heads=2, vocabulary=8192),
    "demo": Shape(n_layers=4, d_model=128, n_heads=4, vocabulary=8192),
    "pythia-70m": Shape(n_layers=6, d_model=512, n_heads=8, vocabulary=50_304),
}

END_OF_TEXT = "<|endoftext|>"

EVERY_TOKEN = 10**6
"""A number of positions that no sequence has."""


def save_random_model(folder: Path, size: ModelSize, context_length: int) -> None:
    """Write a configuration and a tokenizer: what a model with random weights is built from."""
    shape = SHAPES[size]
    tokenizer = _tokenizer(vocab_size=8192)
    tokenizer.model_max_length = context_length
    tokenizer.save_pretrained(folder)
    GPTNeoXConfig(
        architectures=["GPTNeoXForCausalLM"],
        num_hidden_layers=shape.n_layers,
        hidden_size=shape.d_model,
        intermediate_size=4 * shape.d_model,
        num_attention_heads=shape.n_heads,
        vocab_size=shape.vocabulary,
        max_position_embeddings=context_length,
    ).save_pretrained(folder)


def save_dataset(root: Path, model: Path, n_sequences: int, context_length: int, positions_per_sequence: int) -> str:
    """Make a data set of full-length sequences of the bundled texts; return its name."""
    root.mkdir(parents=True, exist_ok=True)
    source = root / "texts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in _documents(n_sequences)))
    config = MakeConfig(
        "natural_lang_id",
        tokenizer=str(model),
        source=str(source),
        texts_per_label=n_sequences,
        min_tokens=context_length - 1,
        min_positives=1,
        positions_per_sequence=positions_per_sequence,
        output_dir=root,
    )
    return make_dataset(config).name


def harvest_config(
    folder: Path,
    size: ModelSize,
    n_sequences: int,
    context_length: int,
    positions_per_sequence: int,
    aggregation: Aggregation = "none",
) -> HarvestConfig:
    """Prepare a model and a data set below ``folder``; return the settings of a harvest of them."""
    model, root = folder / "model", folder / "feature_datasets"
    save_random_model(model, size, context_length)
    return HarvestConfig.from_flags(
        model=str(model),
        random_init=True,
        feature_dataset=save_dataset(root, model, n_sequences, context_length, positions_per_sequence),
        feature_dataset_dir=root,
        results_dir=folder / "results",
        activation_aggregation=aggregation,
    )


def _tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Load the tokenizer of the demo model; train one on the bundled texts where there is none."""
    if (DEMO_MODEL_PATH / "tokenizer.json").is_file():
        return load_tokenizer("demo")
    bpe = ByteLevelBPETokenizer()
    bpe.train([str(DEMO_TEXTS["natural_lang_id"])], vocab_size=vocab_size, special_tokens=[END_OF_TEXT])
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def _documents(n: int) -> list[dict[str, str]]:
    """Join the texts of a language, each time from another one on, so that a document fills any context."""
    texts: dict[str, list[str]] = {}
    for line in DEMO_TEXTS["natural_lang_id"].read_text().splitlines():
        row = json.loads(line)
        texts.setdefault(row["label"], []).append(row["text"])
    documents = []
    for number in range(n):
        label = list(texts)[number % len(texts)]
        first = number // len(texts) % len(texts[label])
        text = "\n".join(texts[label][first:] + texts[label][:first])
        documents.append({"text": text, "label": label, "group": f"document {number}"})
    return documents
