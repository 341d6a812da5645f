"""One prompt: the scores of its tokens, and of those that the model adds to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from probing_datasets.building.tokenization import token_ids
from probing_datasets.collections.emotional_state.chat_prompts import chat_tokens
from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.models import LanguageModel
from sparse_probing.monitoring.generation import check_generates, watch
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_prompts import check_template, split_at
from sparse_probing.saved_probes.right_model import model_of
from sparse_probing.saved_probes.text_scorer import TextScorer

logger = logging.getLogger(__name__)

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
TOKENS_BEFORE = 8
"""Tokens that are decoded before one, to know what it adds: more than a character has bytes."""


@dataclass(frozen=True)
class ScoredTokens:
    """Tokens with their scores."""

    names: list[str]
    """Name of each score."""
    tokens: list[str]
    """What each token adds to the text; empty for the first bytes of a character."""
    scores: NDArray[np.float64]
    """(tokens, scores)"""
    n_prompt: int
    """Tokens of the prompt, without the special ones before it."""
    between: list[str]
    """The text before each token that belongs to none."""
    rest: str = ""
    """The text behind the last scored token."""
    text_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(scores,) of the whole text; NaN for probes of tokens, and empty for a generation."""


def score_prompt(
    probes: Sequence[ProbeData], model: LanguageModel, prompt: str, allow_other_weights: bool = False
) -> ScoredTokens:
    """Return the scores of the tokens of one text, as `sparse_probing.monitoring.apply.apply_probes` scores them.

    Raises
    ------
    ModelError
        When a probe was trained on another model.
    ProbeError
        When the text has no tokens, or is longer than a chat may be.
    """
    scorer = TextScorer(model_of(probes, model, allow_other_weights), probes, per_token=True)
    (scored,) = scorer.score([prompt])
    if not len(scored.prompt.ids):
        raise ProbeError(f"The prompt cannot be scored: {scored.prompt.note}.")
    if scored.prompt.note:
        logger.warning("The prompt: %s", scored.prompt.note)
    spans = scored.prompt.spans if scored.prompt.spans is not None else np.empty((0, 2), np.int32)
    tokens, between, rest = split_at(scored.prompt.text, spans)
    return ScoredTokens(scorer.names, tokens, scored.token_scores, len(tokens), between, rest, scored.scores)


def score_generation(
    probes: Sequence[ProbeData],
    model: LanguageModel,
    prompt: str,
    n_new: int,
    chat: bool = False,
    sample: bool = False,
    seed: int = 0,
    allow_other_weights: bool = False,
) -> ScoredTokens:
    """Let the model continue a prompt, and return the scores of its tokens and of the new ones.

    Special tokens before the text are not among them: no probe was trained on them, and their activations can be
    hundreds of times as large as those of other tokens.

    Parameters
    ----------
    probes : sequence of ProbeData
    model : LanguageModel
    prompt : str
    n_new : int
        Tokens to generate at most; at least 1.
    chat : bool
        Put the prompt into the chat template of the tokenizer, as a message of the user. The completion of a data set
        of chats is not put behind it: the model writes the answer.
    sample : bool
        Draw each token, with ``seed``; otherwise the most likely one is taken.
    seed : int
    allow_other_weights : bool
        As in `watch`.

    Raises
    ------
    ModelError
        When the model does not generate, has no chat template, or the prompt and the new tokens are longer than its
        context.
    SettingsError
        When its chat template fails.
    ProbeError
        When the prompt is empty, or the probes were trained behind other special tokens, or in other chats, than the
        first.
    """
    check_generates(model)
    first = (probes[0].prefix, probes[0].chat)
    if other := next((probe for probe in probes if (probe.prefix, probe.chat) != first), None):
        raise ProbeError(
            f"The texts of {probes[0].feature!r} and of {other.feature!r} begin with other special tokens, or are "
            "in other chats, and there is one prompt. Generate with probes of one kind at a time."
        )
    n_before, template = len(probes[0].prefix), ""
    if (of_data := probes[0].chat) is not None:
        check_template(of_data, model.tokenizer)
        template = of_data.template
        logger.warning(
            "The probe of %r was trained on messages of a chat%s; here the model writes the answer.",
            probes[0].feature,
            f", followed by {of_data.completion!r}" if of_data.completion else "",
        )
    ids = prompt_ids(model.tokenizer, prompt, probes[0].prefix, chat, template)
    if len(ids) + n_new > model.context_length:
        raise ModelError(
            f"{len(ids)} tokens of the prompt and {n_new} new ones are more than the {model.context_length} that "
            f"{model.name} takes. Shorten the prompt, or lower --generate."
        )
    tokens = torch.tensor([ids], device=model.device)
    ends = model.model.generation_config.eos_token_id
    pad = model.tokenizer.pad_token_id
    if pad is None:
        pad = ends[0] if isinstance(ends, list) else ends
    # The generator of the process is not ours: its state is the same afterwards.
    with watch(model, probes, allow_other_weights) as watched, torch.random.fork_rng():
        torch.manual_seed(seed)
        cast(Any, model.model).generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=n_new,
            do_sample=sample,
            pad_token_id=pad,
        )
    texts = added_texts(model.tokenizer, watched.tokens[0].tolist())[n_before:]
    scores = watched.scores[0, n_before:]
    return ScoredTokens(watched.names, texts, scores, watched.n_prompt - n_before, [""] * len(texts))


def prompt_ids(
    tokenizer: PreTrainedTokenizerFast,
    prompt: str,
    prefix: Sequence[int] = (),
    chat: bool = False,
    template: str = "",
) -> list[int]:
    """Return the token ids of a prompt behind special tokens: of the text, or of it as a message of a chat.

    The tokens of a message are those that ``apply`` scores, up to the beginning of the answer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    prompt : str
    prefix : sequence of int
        Special tokens before every text.
    chat : bool
    template : str
        Text around a message; empty: the chat template of the tokenizer.

    Raises
    ------
    ProbeError
        When the prompt is empty.
    ModelError
        When there is no chat template.
    SettingsError
        When the chat template fails, or changes or loses the message.
    """
    if not prompt or prompt.isspace():
        raise ProbeError("The prompt is empty. Pass a text with --prompt.")
    if not chat:
        return [*prefix, *token_ids(tokenizer, [prompt])[0].tolist()]
    if not template and not tokenizer.chat_template:
        raise ModelError("The tokenizer of this model has no chat template. Leave out --chat.")
    return [*prefix, *chat_tokens(tokenizer, prompt, "", template, "last").ids.tolist()]


def added_texts(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[str]:
    """Return what each token adds to the text; a character of several tokens belongs to the last of them.

    Joined, they are the decoded text, except for bytes that are never completed.
    """
    texts = []
    for i in range(len(ids)):
        start = max(0, i - TOKENS_BEFORE)
        before, through = (
            str(tokenizer.decode(list(ids[start:stop]), clean_up_tokenization_spaces=False)).rstrip(INCOMPLETE)
            for stop in (i, i + 1)
        )
        texts.append(through[len(before) :])
    return texts
