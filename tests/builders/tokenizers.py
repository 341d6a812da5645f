"""Small tokenizers of the three kinds that language models have: with a fixed vocabulary, and trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import load_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
SIGNS = ".,;:!?'\"()[]{}<>=+-*/_|#@$%&~^\\`"


def byte_level_bpe() -> PreTrainedTokenizerFast:
    """Return a tokenizer like that of GPT-2 and Pythia: bytes and some merges; it adds no special token."""
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "ð"), ("Ł", "ĺ"), ("Ã", "©"), ("1", "2"), ("Ġ", "Ġ")]
    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=48
    )


def unigram() -> PreTrainedTokenizerFast:
    """Return a tokenizer like that of Llama: SentencePiece pieces, unknown characters as bytes, <s> in front."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.5), ("▁the", -2.0), ("the", -4.0), ("▁t", -3.0)]
    pieces += [(character, -5.0) for character in LETTERS + DIGITS + SIGNS]
    pieces += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", model_max_length=48
    )


def wordpiece() -> PreTrainedTokenizerFast:
    """Return a tokenizer like that of BERT: words and ## continuations between [CLS] and [SEP]; the rest is [UNK]."""
    starts = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "The", *LETTERS, *DIGITS, *SIGNS]
    pieces = [*starts, "##ing", "##the", *(f"##{character}" for character in LETTERS + DIGITS)]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        model_max_length=48,
    )


TOKENIZERS = {"byte_level_bpe": byte_level_bpe, "unigram": unigram, "wordpiece": wordpiece}


def save_tokenizers(root: Path) -> dict[str, Path]:
    """Save each of `TOKENIZERS` in a folder of its name and return the folders."""
    for kind, make in TOKENIZERS.items():
        make().save_pretrained(root / kind)
    return {kind: root / kind for kind in TOKENIZERS}


def train_tokenizer(kind: str, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer of a few hundred pieces."""
    options: dict[str, Any] = {"special_tokens": ["[UNK]", "[CLS]", "[SEP]", "[PAD]"], "show_progress": False}
    if kind == "byte_level_bpe":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    elif kind == "unigram":
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=900, unk_token="[UNK]", **options)
    else:
        backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=900, **options)
    backend.train_from_iterator(texts, trainer)
    if kind == "wordpiece":
        special = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]", pad_token="[PAD]"
    )


CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template as many models have it."""


def save_chat_tokenizer(tokenizer_dir: Path, folder: Path) -> Path:
    """Save a tokenizer with the template and the special tokens of a chat model, and return its folder."""
    tokenizer = load_tokenizer(str(tokenizer_dir))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = "{{ bos_token }}" + CHATML
    tokenizer.save_pretrained(folder)
    return folder
