"""Scores while a model generates: equal to those of a full pass of each finished sequence, without padding."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.models import LanguageModel, load_model
from sparse_probing.models.load_model import wrap_model
from sparse_probing.monitoring.generation import watch
from tests.builders.models import ARCHITECTURES
from tests.builders.monitors import random_probe

PROMPTS = ("Guten Morgen, wie", "Bonjour", "the quick brown fox jumps over")
END = 0
"""Id of the token that ends and pads sequences of the tiny models."""


@cache
def architecture(name: str, tokenizer_folder: str) -> LanguageModel:
    config, _, _, auto = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = auto.from_config(config).eval()
    return wrap_model(model, load_model(tokenizer_folder).tokenizer, name)


@pytest.fixture
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir))


def prompts_of(model: LanguageModel, texts=PROMPTS) -> dict[str, torch.Tensor]:
    """Return prompts that are padded on the left."""
    ids = [model.tokenizer(text)["input_ids"] for text in texts]
    length = max(map(len, ids))
    tokens = torch.tensor([[END] * (length - len(each)) + each for each in ids])
    mask = torch.tensor([[0] * (length - len(each)) + [1] * len(each) for each in ids])
    return {"input_ids": tokens, "attention_mask": mask}


def full_pass_scores(model, probes, tokens: list[int]) -> np.ndarray:
    """Return (tokens, scores) of one sequence without padding and without a cache."""
    kept: dict[str, np.ndarray] = {}
    names = [f"blocks.{probe.layer}.{probe.hook_point}" for probe in probes]
    hooks = {name: lambda a, name=name: kept.update({name: a[0].double().numpy()}) for name in names}
    model.run(torch.tensor([tokens]), torch.ones(1, len(tokens), dtype=torch.long), hooks)
    return np.concatenate([probe.scores_of(kept[n]) for probe, n in zip(probes, names, strict=True)], axis=1)


def check_equal_to_full_passes(model, probes, watched) -> int:
    """Compare every sequence with a full pass of its tokens; return how many tokens were compared."""
    n_compared = 0
    for tokens, scores in zip(watched.tokens, watched.scores, strict=True):
        known = ~np.isnan(scores).any(axis=1)
        places = np.flatnonzero(known)
        assert (np.diff(places) == 1).all()
        np.testing.assert_allclose(scores[known], full_pass_scores(model, probes, tokens[known].tolist()), atol=1e-4)
        n_compared += len(places)
    return n_compared


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("name", ["gpt_neox", "gpt2", "llama", "gemma2", "opt"])
def test_equal_to_a_full_pass_with_left_padding(tiny_model_dir, name, sampled):
    model = architecture(name, str(tiny_model_dir))
    probes = [
        random_probe(model, "German", 1, "hook_resid_post"),
        random_probe(model, "tone", 0, "mlp.hook_post", ("happy", "sad", "neutral"), k=5),
        random_probe(model, "French", 1, "hook_resid_post", k=3, seed=1),
    ]
    inputs = prompts_of(model)
    n_tokens = inputs["input_ids"].shape[1]
    torch.manual_seed(0)
    bare = model.model.generate(**inputs, max_new_tokens=7, do_sample=sampled, eos_token_id=None, pad_token_id=END)
    torch.manual_seed(0)
    with watch(model, probes) as watched:
        output = model.model.generate(
            **inputs, max_new_tokens=7, do_sample=sampled, eos_token_id=None, pad_token_id=END
        )
    assert torch.equal(bare, output)  # watching does not change what is generated
    assert watched.names == ["German", "tone=happy", "tone=sad", "tone=neutral", "French"]
    assert watched.n_prompt == n_tokens
    assert watched.scores.shape == (3, n_tokens + 7, 5)
    n_compared = check_equal_to_full_passes(model, probes, watched)
    assert n_compared == inputs["attention_mask"].sum() + 3 * 7  # the last new token has a score too
    assert "generate" not in vars(model.model)


def test_what_follows_the_end_of_a_sequence_has_no_score(model):
    probes = [random_probe(model)]
    inputs = prompts_of(model)
    ends = model.model.generate(**inputs, max_new_tokens=6, eos_token_id=None, pad_token_id=END)[:, -5]
    end = int(ends[0])  # the second new token of the first sequence
    with watch(model, probes) as watched:
        model.model.generate(**inputs, max_new_tokens=6, eos_token_id=end, pad_token_id=END)
    new = np.isnan(watched.scores[0, watched.n_prompt :, 0])
    assert not new[:2].any()
    assert new[2:].all()
    check_equal_to_full_passes(model, probes, watched)


@pytest.mark.parametrize(
    "options",
    [
        {"use_cache": False},
        {"return_dict_in_generate": True},
        {"num_return_sequences": 2, "do_sample": True},
        {"max_new_tokens": 1},
        {"cache_implementation": "static"},
        {"generation_config": GenerationConfig(max_new_tokens=3, eos_token_id=None, pad_token_id=END)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_ways_to_generate(model, options):
    probes = [random_probe(model, layer=0), random_probe(model, "French", layer=1)]
    options = {"max_new_tokens": 4, "eos_token_id": None, "pad_token_id": END} | options
    if "generation_config" in options:
        options = {"generation_config": options["generation_config"]}
    with watch(model, probes) as watched:
        output = model.model.generate(**prompts_of(model), **options)
    check_equal_to_full_passes(model, probes, watched)
    n_new = options.get("max_new_tokens", 3)
    assert not np.isnan(watched.scores[:, watched.n_prompt :]).any()
    assert watched.scores.shape[1] == watched.n_prompt + n_new
    if options.get("return_dict_in_generate"):  # the cache of the user does not hold the token that we added
        assert output.past_key_values.get_seq_length() == output.sequences.shape[1] - 1


def test_a_conversation_that_continues_with_its_cache(model):
    probes = [random_probe(model)]
    options = {"max_new_tokens": 3, "eos_token_id": None, "pad_token_id": END, "return_dict_in_generate": True}
    tokens = model.tokenizer("Guten Morgen", return_tensors="pt")["input_ids"]
    with watch(model, probes) as watched:
        first = model.model.generate(tokens, **options)
        scores_of_first = watched.scores
        second = torch.cat([first.sequences, model.tokenizer(" Bonjour", return_tensors="pt")["input_ids"]], dim=1)
        model.model.generate(second, past_key_values=first.past_key_values, **options)
    n_cached = first.sequences.shape[1] - 1
    assert np.isnan(watched.scores[0, :n_cached]).all()
    expected = full_pass_scores(model, probes, watched.tokens[0].tolist())
    np.testing.assert_allclose(watched.scores[0, n_cached:], expected[n_cached:], atol=1e-4)
    np.testing.assert_allclose(scores_of_first[0], expected[: n_cached + 1], atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"use_cache": False}], ids=["cache", "no cache"])
def test_blocks_may_be_nested(model, options):
    outer_probes, inner_probes = [random_probe(model)], [random_probe(model, "French", 0, "hook_resid_post")]
    inputs = prompts_of(model)
    options |= {"max_new_tokens": 3, "eos_token_id": None, "pad_token_id": END}
    with watch(model, outer_probes) as outer:
        with watch(model, inner_probes) as inner:
            model.model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], **options)
        n_prompt = inputs["input_ids"].shape[1]
        for probes, watched in ((outer_probes, outer), (inner_probes, inner)):
            assert watched.n_prompt == n_prompt
            assert not np.isnan(watched.scores[:, n_prompt:]).any()
            check_equal_to_full_passes(model, probes, watched)
        inner_scores = inner.scores
        model.model.generate(**prompts_of(model, PROMPTS[:1]), **options)
        assert len(outer.scores) == 1  # the outer block still watches, the inner one does not
        check_equal_to_full_passes(model, outer_probes, outer)
        assert inner.scores is inner_scores
    assert "generate" not in vars(model.model)


def test_what_cannot_be_watched_is_refused(model, tiny_model_dir):
    probe = random_probe(model)
    inputs = prompts_of(model)
    with watch(model, [probe]):
        with pytest.raises(ModelError, match="with num_beams cannot be watched"):
            model.model.generate(**inputs, num_beams=2, max_new_tokens=2)
        with pytest.raises(ModelError, match="with num_beams cannot be watched"):
            model.model.generate(**inputs, generation_config=GenerationConfig(num_beams=2, max_new_tokens=2))
        with pytest.raises(ModelError, match="with prompt_lookup_num_tokens cannot be watched"):
            model.model.generate(**inputs, prompt_lookup_num_tokens=2, max_new_tokens=2)
        embedded = model.model.get_input_embeddings()(inputs["input_ids"])
        with pytest.raises(ModelError, match="with inputs_embeds cannot be watched"):
            model.model.generate(inputs_embeds=embedded, max_new_tokens=2)
    with pytest.raises(ProbeError, match="no probes"), watch(model, []):
        pass
    encoder = architecture("bert", str(tiny_model_dir))
    with (
        pytest.raises(ModelError, match="does not generate text. Apply the probes to texts"),
        watch(encoder, [random_probe(encoder)]),
    ):
        pass
    with (
        pytest.raises(ModelError, match="exists only under TransformerLens' bridge"),
        watch(model, [random_probe(model, hook_point="attn.hook_z", layer=0), _bridge_probe(model)]),
    ):
        pass
    assert "generate" not in vars(model.model)


def _bridge_probe(model):
    """Return a probe of a hook point that only the bridge computes."""
    name = next(n for n, p in model.hook_points.items() if n.startswith("blocks.1.") and p.site is None and p.shape[:2])
    one = {"support": np.array([0]), "coef": np.ones((1, 1)), "mean": np.zeros(1), "scale": np.ones(1)}
    return replace(random_probe(model), hook_point=name.split(".", 2)[2], **one)


def test_other_weights_are_refused_unless_they_are_allowed(model, tiny_model_dir, caplog):
    probe = random_probe(model)
    other = load_model(str(tiny_model_dir), random_init=True, seed=3)
    with (
        pytest.raises(ModelError, match=r"trained on the weights .* of .*tiny.*has the weights"),
        watch(other, [probe]),
    ):
        pass
    with watch(other, [probe], allow_other_weights=True) as watched:
        other.model.generate(**prompts_of(other), max_new_tokens=2, eos_token_id=None, pad_token_id=END)
    assert np.isfinite(watched.scores[:, -2:]).all()
    assert "Scores may mean nothing" in caplog.text
    too_wide = random_probe(model, support=np.array([4800]), coef=np.ones((1, 1)), mean=np.zeros(1), scale=np.ones(1))
    with pytest.raises(ModelError, match="reads neuron 4800"), watch(model, [too_wide]):
        pass
