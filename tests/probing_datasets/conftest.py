"""Three small tokenizers written by hand, of the three kinds that language models have."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
SIGNS = ".,;:!?'\"()[]{}<>=+-*/_|#@$%&~^\\`"


def byte_level_bpe() -> PreTrainedTokenizerFast:
    """As in GPT-2 and Pythia: bytes and some merges; no special token is added by itself."""
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "ð"), ("Ł", "ĺ"), ("Ã", "©"), ("1", "2"), ("Ġ", "Ġ")]
    pieces = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=48
    )


def unigram() -> PreTrainedTokenizerFast:
    """As in Llama: SentencePiece pieces, unknown characters as bytes, <s> in front."""
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
    """As in BERT: words and ## continuations between [CLS] and [SEP]; other characters are [UNK]."""
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


@pytest.fixture(scope="session")
def tokenizer_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    for kind, make in TOKENIZERS.items():
        make().save_pretrained(root / kind)
    return {kind: root / kind for kind in TOKENIZERS}


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer_dir(request: pytest.FixtureRequest, tokenizer_dirs: dict[str, Path]) -> Path:
    """Each of the three tokenizers in turn."""
    return tokenizer_dirs[request.param]
