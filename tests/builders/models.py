"""Tiny random models of several architectures, and where Hugging Face keeps what their hook points name."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    DeepseekV3Config,
    Gemma2Config,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GraniteMoeConfig,
    JambaConfig,
    Llama4TextConfig,
    LlamaConfig,
    MixtralConfig,
    OlmoeConfig,
    OPTConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    Qwen3NextConfig,
)

from probing_datasets.demo import DEMO_TEXTS

END_OF_TEXT = "<|endoftext|>"


def save_tiny_model(folder: Path) -> Path:
    """Save a random two-layer GPT-NeoX, 16 wide with 48 neurons, and its byte-level BPE tokenizer."""
    bpe = ByteLevelBPETokenizer()
    bpe.train([str(DEMO_TEXTS["natural_lang_id"])], vocab_size=600, special_tokens=[END_OF_TEXT])
    PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=600,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    return folder


class Architecture(NamedTuple):
    """A tiny configuration, and its modules: `name<` is the input of one in a block, `name>` its output."""

    config: PretrainedConfig
    blocks: str
    places: dict[str, str]
    auto: Any = AutoModelForCausalLM


# Weights far larger than usual, so that activations are of order one and 1e-5 means something.
WIDTHS: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
SHARED: dict[str, Any] = {"vocab_size": 600, "max_position_embeddings": 64, "initializer_range": 0.3}
HEADS: dict[str, Any] = {"head_dim": 8, "num_key_value_heads": 1}
GPT2 = GPT2Config(n_embd=16, n_inner=48, n_layer=2, n_head=2, n_positions=64, vocab_size=600, initializer_range=0.3)
OPT = OPTConfig(
    **{k: v for k, v in WIDTHS.items() if k != "intermediate_size"},
    ffn_dim=48,
    word_embed_proj_dim=16,
    init_std=0.3,
    vocab_size=600,
    max_position_embeddings=64,
)
BLOCK = {"hook_resid_pre": "<", "hook_resid_post": ">"}
LLAMA = BLOCK | {
    "mlp.hook_post": "mlp.down_proj<",
    "mlp.hook_pre": "mlp.gate_proj>",
    "attn.hook_z": "self_attn.o_proj<",
    "hook_resid_mid": "post_attention_layernorm<",
    "hook_attn_out": "self_attn.o_proj>",
    "hook_mlp_out": "mlp.down_proj>",
}
ARCHITECTURES = {
    "gpt2": Architecture(
        GPT2,
        "transformer.h",
        BLOCK
        | {
            "mlp.hook_post": "mlp.c_proj<",
            "mlp.hook_pre": "mlp.c_fc>",
            "attn.hook_z": "attn.c_proj<",
            "hook_resid_mid": "ln_2<",
            "hook_attn_out": "attn.c_proj>",
            "hook_mlp_out": "mlp.c_proj>",
        },
    ),
    "gpt_neox": Architecture(
        GPTNeoXConfig(**WIDTHS, **SHARED),
        "gpt_neox.layers",
        BLOCK
        | {
            "mlp.hook_post": "mlp.dense_4h_to_h<",
            "mlp.hook_pre": "mlp.dense_h_to_4h>",
            "attn.hook_z": "attention.dense<",
            "hook_attn_out": "attention.dense>",
            "hook_mlp_out": "mlp.dense_4h_to_h>",
        },
    ),
    "llama": Architecture(LlamaConfig(**WIDTHS, **SHARED), "model.layers", LLAMA),
    "gemma": Architecture(GemmaConfig(**WIDTHS, **SHARED, **HEADS), "model.layers", LLAMA),
    "gemma2": Architecture(
        Gemma2Config(**WIDTHS, **SHARED, **HEADS),
        "model.layers",
        LLAMA
        | {
            "hook_resid_mid": "pre_feedforward_layernorm<",
            "hook_attn_out": "post_attention_layernorm>",
            "hook_mlp_out": "post_feedforward_layernorm>",
        },
    ),
    "qwen3": Architecture(Qwen3Config(**WIDTHS, **SHARED, **HEADS), "model.layers", LLAMA),
    "opt": Architecture(
        OPT,
        "model.decoder.layers",
        BLOCK
        | {
            "mlp.hook_post": "fc2<",
            "mlp.hook_pre": "fc1>",
            "attn.hook_z": "self_attn.out_proj<",
            "hook_resid_mid": "final_layer_norm<",
            "hook_attn_out": "self_attn.out_proj>",
            "hook_mlp_out": "fc2>",
        },
    ),
    "bert": Architecture(
        BertConfig(**WIDTHS, **SHARED),
        "bert.encoder.layer",
        BLOCK
        | {
            "mlp.hook_post": "output.dense<",
            "mlp.hook_pre": "intermediate.dense>",
            "attn.hook_z": "attention.output.dense<",
        },
        AutoModelForMaskedLM,
    ),
}

EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
MIXTURES: dict[str, tuple[PretrainedConfig, tuple[int, ...]]] = {
    "mixtral": (MixtralConfig(**WIDTHS, **SHARED, num_key_value_heads=1, num_local_experts=4), ()),
    "qwen2_moe": (
        Qwen2MoeConfig(
            **WIDTHS,
            **SHARED,
            **EXPERTS,
            num_key_value_heads=1,
            shared_expert_intermediate_size=24,
            mlp_only_layers=[1],
        ),
        (1,),
    ),
    "qwen3_moe": (Qwen3MoeConfig(**WIDTHS, **SHARED, **HEADS, **EXPERTS), ()),
    "qwen3_next": (
        Qwen3NextConfig(
            **WIDTHS,
            **SHARED,
            **HEADS,
            **EXPERTS,
            mlp_only_layers=[0],
            shared_expert_intermediate_size=24,
            linear_num_value_heads=2,
            linear_num_key_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        ),
        (0,),
    ),
    "olmoe": (OlmoeConfig(**WIDTHS, **SHARED, num_experts=4, num_experts_per_tok=2), ()),
    "gpt_oss": (GptOssConfig(**WIDTHS, **SHARED, **HEADS, num_local_experts=4, num_experts_per_tok=2), ()),
    "granite_moe": (GraniteMoeConfig(**WIDTHS, **SHARED, num_local_experts=4, num_experts_per_tok=2), ()),
    "deepseek_v3": (
        DeepseekV3Config(
            **WIDTHS,
            **SHARED,
            num_key_value_heads=2,
            n_routed_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=24,
            first_k_dense_replace=1,
            n_group=1,
            topk_group=1,
            q_lora_rank=8,
            kv_lora_rank=8,
            qk_rope_head_dim=4,
            qk_nope_head_dim=4,
            v_head_dim=8,
        ),
        (0,),
    ),
    "llama4": (
        Llama4TextConfig(
            **WIDTHS, **SHARED, **HEADS, num_local_experts=4, interleave_moe_layer_step=2, intermediate_size_mlp=48
        ),
        (0,),
    ),
    "jamba": (
        JambaConfig(
            **WIDTHS,
            **SHARED,
            num_key_value_heads=1,
            num_experts=4,
            attn_layer_period=2,
            attn_layer_offset=1,
            use_mamba_kernels=False,
        ),
        (0,),
    ),
}
"""Tiny mixtures of experts, and their layers whose MLP is dense."""
