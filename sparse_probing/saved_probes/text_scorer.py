"""The scores that saved probes give to texts and tokens: all probes in one pass of the model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ModelMemoryError, ProbeError, first_names
from sparse_probing.activations.model_pass.pooling import pool
from sparse_probing.models import LanguageModel
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import ProbeMatrix, probe_matrices, score_names
from sparse_probing.saved_probes.probe_metadata import ProbePooling
from sparse_probing.saved_probes.probe_prompts import Framing, Prompt, make_prompts

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredText:
    """What some probes say of one text."""

    prompt: Prompt
    """The text as it was scored; with several framings, that of the probe with the longest context, and the notes of
    all."""
    scores: Floats
    """(outputs,) scores of the text; NaN for probes of tokens, and where it could not be scored."""
    token_scores: Floats
    """(m, outputs) scores of its tokens; NaN beyond the context of a probe; empty unless they were requested."""


@dataclass(frozen=True)
class _Pass:
    """The probes that share a forward pass, because they put texts into the same sequences."""

    framing: Framing
    outputs: list[int]
    """Numbers of their scores among those of all probes."""
    matrices: list[ProbeMatrix]
    aggregations: list[ProbePooling]
    """Of each score."""


class TextScorer:
    """Some probes of one model, to score any number of texts.

    Parameters
    ----------
    model : LanguageModel
        The model of all probes; see `model_of`.
    probes : sequence of ProbeData
    batch_size : int
        Texts of one forward pass; it is halved when they do not fit into memory.
    per_token : bool
        Whether to score every token too.

    Raises
    ------
    ProbeError
        When tokens are to be scored by probes whose texts are not the same (chats and others, or other parts of a long
        text), or the batch size is not positive.
    """

    def __init__(
        self, model: LanguageModel, probes: Sequence[ProbeData], batch_size: int = 32, per_token: bool = False
    ) -> None:
        if batch_size < 1:
            raise ProbeError(f"The batch size must be at least 1, not {batch_size}.")
        self.names = score_names(probes)
        self._model, self._batch_size, self._per_token = model, batch_size, per_token
        self._passes: list[_Pass] = []
        framings = [Framing.of(probe, model.context_length) for probe in probes]
        starts = np.cumsum([0, *(len(probe.intercept) for probe in probes)])
        for framing in sorted(set(framings), key=lambda each: -each.longest):
            members = [i for i, each in enumerate(framings) if each == framing]
            outputs = [o for i in members for o in range(starts[i], starts[i + 1])]
            aggregations: list[ProbePooling] = [aggregation_of(probes[i]) for i in members for _ in probes[i].intercept]
            matrices = probe_matrices([probes[i] for i in members], model.device)
            self._passes.append(_Pass(framing, outputs, matrices, aggregations))
        if per_token and len({(framing.chat, framing.kept) for framing in framings}) > 1:
            raise ProbeError(
                "The probes put a text into different prompts, or cut long texts at different ends, so their tokens "
                "are not the same. Score tokens with probes of one kind at a time."
            )

    def score(self, texts: Sequence[str]) -> list[ScoredText]:
        """Return the scores of texts; one that is empty or too long gets NaN and a note, and stops nothing.

        Raises
        ------
        ProbeError
            When something is not a string.
        """
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise ProbeError(
                    f"Text {number} is {type(text).__name__}, not a string. Remove it, or convert it; activations are "
                    "taken by scores_of and probabilities_of."
                )
        scores = np.full((len(texts), len(self.names)), np.nan)
        first: list[Prompt] = []
        notes: list[list[str]] = [[] for _ in texts]
        token_scores: list[Floats] = []
        for each in self._passes:
            prompts = make_prompts(texts, each.framing, self._model.tokenizer, self._per_token)
            if not first:
                first = prompts
                n_tokens = [len(prompt.ids) if self._per_token else 0 for prompt in prompts]
                token_scores = [np.full((n, len(self.names)), np.nan) for n in n_tokens]
            for of_text, prompt in zip(notes, prompts, strict=True):
                of_text.append(prompt.note)
            # The longest texts first: little padding is computed, and what does not fit into memory fails early.
            order = sorted((i for i, p in enumerate(prompts) if len(p.ids)), key=lambda i: -len(prompts[i].ids))
            for start in range(0, len(order), self._batch_size):
                members = order[start : start + self._batch_size]
                for numbers, of_texts, of_tokens, is_text in self._run_within_memory(each, members, prompts):
                    scores[np.ix_(numbers, each.outputs)] = of_texts
                    for row, number in enumerate(numbers if self._per_token else ()):
                        n_all, n_scored = len(token_scores[number]), len(prompts[number].ids)
                        at = n_all - n_scored if each.framing.kept == "end" else 0
                        token_scores[number][at : at + n_scored, each.outputs] = of_tokens[row][is_text[row]]
        first = [replace(p, note=self._joined(of)) if any(of) else p for p, of in zip(first, notes, strict=True)]
        return [ScoredText(*parts) for parts in zip(first, scores, token_scores, strict=True)]

    @property
    def longest(self) -> int:
        """Most tokens of a text that a probe scores."""
        return self._passes[0].framing.longest

    def _joined(self, notes: list[str]) -> str:
        """Return the notes of one text: where passes differ, each with the scores that it is about."""
        if len(set(notes)) == 1:
            return notes[0]
        names = [first_names([self.names[o] for o in each.outputs], most=3) for each in self._passes]
        return "; ".join(f"{note} ({of})" for note, of in zip(notes, names, strict=True) if note)

    def _run_within_memory(
        self, common: _Pass, members: list[int], prompts: list[Prompt]
    ) -> list[tuple[list[int], Floats, Floats, NDArray[np.bool_]]]:
        """Return the scores of some texts, in pieces of a batch that fit into memory."""
        try:
            return [self._run(common, members, prompts)]
        except ModelMemoryError:
            if len(members) == 1:
                raise
        half = self._batch_size = len(members) // 2  # for the next batches too
        logger.warning("%d texts do not fit into memory: now %d", len(members), half)
        return [
            piece
            for part in (members[:half], members[half : 2 * half], members[2 * half :])
            if part
            for piece in self._run_within_memory(common, part, prompts)
        ]

    def _run(
        self, common: _Pass, members: list[int], prompts: list[Prompt]
    ) -> tuple[list[int], Floats, Floats, NDArray[np.bool_]]:
        """Run a batch; return its members, their scores, those of all positions, and which positions are text."""
        framing, aggregations = common.framing, common.aggregations
        tokens, mask, is_text, is_pooled = prompt_batch(framing, [prompts[member] for member in members])
        on_device = is_pooled.to(self._model.device)
        of_texts = np.full((len(members), len(aggregations)), np.nan)
        shape = (*tokens.shape, len(aggregations)) if self._per_token else (0, 0, len(aggregations))
        of_tokens = np.full(shape, np.nan)

        def score(matrix: ProbeMatrix, activation: torch.Tensor) -> None:
            values = activation[..., matrix.columns]
            if self._per_token:
                of_tokens[..., list(matrix.outputs)] = matrix.scores_of_columns(values).cpu().numpy()
            wanted = [aggregations[output] for output in matrix.outputs]
            # Trained poolings differ from probe to probe; all other probes share the pooled activations.
            pooled = {
                aggregation: matrix.scores_of_columns(pool(values, on_device, aggregation))  # type: ignore[arg-type]
                for aggregation in set(wanted) & {"mean", "max", "last"}
            }
            if matrix.heads:
                pooled |= dict.fromkeys(("attention", "multimax"), matrix.scores_by_heads(values, on_device))
            for aggregation, scores in pooled.items():
                chosen = [i for i, each in enumerate(wanted) if each == aggregation]
                of_texts[:, [matrix.outputs[i] for i in chosen]] = scores[:, chosen].cpu().numpy()

        self._model.run(tokens, mask, {matrix.hook_name: partial(score, matrix) for matrix in common.matrices})
        return members, of_texts, of_tokens, is_text.numpy()


def prompt_batch(
    framing: Framing, prompts: Sequence[Prompt]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens and mask (n, length) int64 of a batch, and which positions are text and are pooled, bool."""
    n_before, n_special = len(framing.prefix), len(framing.prefix) + len(framing.suffix)
    lengths = np.array([len(prompt.ids) for prompt in prompts])
    tokens = torch.zeros((len(prompts), int(lengths.max()) + n_special), dtype=torch.long)
    for row, prompt in zip(tokens, prompts, strict=True):
        sequence = np.concatenate([framing.prefix, prompt.ids, framing.suffix]).astype(np.int64)
        row[: len(sequence)] = torch.from_numpy(sequence)
    columns = torch.arange(tokens.shape[1])
    ends = torch.from_numpy(lengths)[:, None]
    mask = (columns < ends + n_special).long()
    is_text = (columns >= n_before) & (columns < ends + n_before)
    is_pooled = is_text.clone()
    for row, prompt in zip(is_pooled, prompts, strict=True):
        if prompt.is_pooled is not None:
            row[n_before : n_before + len(prompt.is_pooled)] = torch.from_numpy(prompt.is_pooled)
    return tokens, mask, is_text, is_pooled


def aggregation_of(probe: ProbeData) -> ProbePooling:
    """Return how the tokens of a text become one vector: of a chat whose last token was probed, the last."""
    is_last = probe.chat is not None and probe.chat.probed_tokens == "last"
    return "last" if probe.aggregation == "none" and is_last else probe.aggregation
