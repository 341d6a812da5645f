"""Score every token while a model generates: the probes read the activations that ``generate`` computes anyway.

::

    with watch(model, probes) as watched:
        output = model.model.generate(**inputs, max_new_tokens=100)
    watched.scores          # (sequences, tokens, scores), for the prompt and for the new tokens

Each hook point costs one product of matrices for a token, on the device of the model, and nothing is copied to the host
before the generation has ended. ``generate`` never runs the model on the last token that it returns; one step with the
cache of keys and values adds the scores of that token.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ModelError, ProbeError
from sparse_probing.models import LanguageModel
from sparse_probing.models.hooks import hook_site
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import ProbeMatrix, probe_matrices, score_names
from sparse_probing.saved_probes.right_model import model_of

NOT_TOKEN_AFTER_TOKEN = {
    "num_beams": (None, 1),
    "assistant_model": (None,),
    "prompt_lookup_num_tokens": (None, 0),
    "penalty_alpha": (None, 0.0),
    "guidance_scale": (None, 1.0),
    "custom_generate": (None,),
    "inputs_embeds": (None,),
}
"""Options of ``generate`` that make forward passes differ from those of the tokens of a sequence in their order, and
the values with which they do not."""


@dataclass
class WatchedGeneration:
    """The scores of the tokens of the last generation."""

    names: list[str]
    """Name of each score."""
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0, 0)))
    """(sequences, tokens, scores) of the prompts and the new tokens; NaN at padding, before or after a sequence."""
    tokens: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), np.int64))
    """(sequences, tokens) ids, as ``generate`` returns them."""
    n_prompt: int = 0
    """Tokens of the prompts, with their padding: the number of the first new token."""


@contextmanager
def watch(
    model: LanguageModel, probes: Sequence[ProbeData], allow_other_weights: bool = False
) -> Iterator[WatchedGeneration]:
    """Score the tokens of every call of ``model.model.generate`` inside a ``with`` block; blocks may be nested.

    Prompts may be padded on the left; tokens may be chosen greedily or at random, with or without the cache. Each call
    replaces the scores of the one before. The probes score single tokens, whatever their aggregation:
    `sparse_probing.monitoring.score_pooling` pools the scores.

    Parameters
    ----------
    model : LanguageModel
        The model that the probes were trained on (`sparse_probing.load_model`).
    probes : sequence of ProbeData
        `SavedProbe`, of any layers and hook points.
    allow_other_weights : bool
        Score with weights that the probes were not trained on, such as those of a fine-tuned copy.

    Yields
    ------
    WatchedGeneration

    Raises
    ------
    ModelError
        When the model does not generate, has other weights, or computes a hook point only under TransformerLens'
        bridge; and from ``generate``, where tokens do not follow one another (beams, assistants).
    ProbeError
        When there is no probe.
    """
    if not probes:
        raise ProbeError("There are no probes to watch a generation with.")
    check_generates(model)
    model_of(probes, model, allow_other_weights)
    matrices = probe_matrices(probes, model.device)
    for matrix in matrices:
        if model.point(matrix.hook_name).site is None:
            raise ModelError(
                f"{matrix.hook_name} of {model.name} exists only under TransformerLens' bridge, which does not "
                "generate. Choose a probe of another hook point."
            )
    watched = WatchedGeneration(score_names(probes))
    original, earlier = cast(Any, model.model).generate, vars(model.model).get("generate")

    @wraps(original)  # its signature is that of the model, for a block inside this one
    def generate(*args: Any, **kwargs: Any) -> Any:
        options = _Options(model, original, args, kwargs)
        passes = _Passes(model, matrices, len(watched.names), keep_all=options.get("use_cache") is not False)
        with passes.attached():
            output = original(*args, **kwargs)
            sequences = output if isinstance(output, torch.Tensor) else output.sequences
            cache_is_shared = options.get("past_key_values") is not None or not isinstance(output, torch.Tensor)
            scores = passes.finish(sequences, cache_is_shared)
        watched.n_prompt = options.n_prompt
        watched.tokens = sequences.cpu().numpy()
        scores[~_is_token(watched.tokens, options, passes.first_mask)] = np.nan
        watched.scores = scores
        return output

    vars(model.model)["generate"] = generate  # not setattr, which modules of PyTorch define
    try:
        yield watched
    finally:
        if earlier is None:
            del vars(model.model)["generate"]
        else:
            vars(model.model)["generate"] = earlier


def check_generates(model: LanguageModel) -> None:
    """Raise ModelError for a model that does not generate text, such as an encoder."""
    if not getattr(model.model, "can_generate", lambda: False)():
        raise ModelError(
            f"{model.name} ({type(model.model).__name__}) does not generate text. Apply the probes to texts instead, "
            "or load a causal language model."
        )


class _Options:
    """The options of a call of ``generate``: of its arguments, then of the configuration passed, then of the model."""

    def __init__(self, model: LanguageModel, generate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = inspect.signature(generate).bind(*args, **kwargs).arguments
        self._sources = [given | given.pop("kwargs", {})]
        for config in (given.get("generation_config"), model.model.generation_config):
            self._sources.append({} if config is None else vars(config))
        for name, harmless in NOT_TOKEN_AFTER_TOKEN.items():
            if self.get(name) not in harmless:
                raise ModelError(
                    f"A generation with {name} cannot be watched: its forward passes are not those of one token after "
                    "the other. Generate from input_ids, greedily or by sampling, without beams, assistants and "
                    "guidance."
                )
        prompt = self._sources[0].get("inputs", self._sources[0].get("input_ids"))
        self.n_prompt = 1 if prompt is None else prompt.shape[1]

    def get(self, name: str) -> Any:
        """Return the value of an option; None where it has none."""
        return next((source[name] for source in self._sources if source.get(name) is not None), None)


class _Passes:
    """The forward passes of one generation, and what the probes say in each."""

    def __init__(self, model: LanguageModel, matrices: Sequence[ProbeMatrix], n_scores: int, keep_all: bool) -> None:
        self._model, self._matrices, self._n_scores, self._keep_all = model, matrices, n_scores, keep_all
        self._pieces: list[list[torch.Tensor]] = [[] for _ in matrices]
        self._shape = torch.Size()
        self._widths: dict[str, int] = {}
        self._last: dict[str, Any] = {}
        self._n_before: int | None = None
        """Tokens that a cache held before the first pass: their scores are not known."""
        self.first_mask: torch.Tensor | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let every pass of the model call the probes."""
        with ExitStack() as stack:
            stack.callback(self._model.model.register_forward_pre_hook(self._before, with_kwargs=True).remove)
            for matrix, pieces in zip(self._matrices, self._pieces, strict=True):
                site = self._model.point(matrix.hook_name).site
                assert site is not None  # noqa: S101 (watch refuses such hook points)
                module = self._model.model.get_submodule(site.module)
                stack.callback(hook_site(module, site, partial(self._score, matrix, pieces)).remove)
            yield

    def _before(self, _module: Any, _args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        self._shape = inputs["input_ids"].shape
        if self._n_before is None:
            cache, mask = inputs.get("past_key_values"), inputs.get("attention_mask")
            self._n_before = 0 if cache is None else int(cache.get_seq_length())
            self.first_mask = mask if isinstance(mask, torch.Tensor) and mask.ndim == 2 else None
        self._last = inputs

    def _score(self, matrix: ProbeMatrix, pieces: list[torch.Tensor], activation: torch.Tensor) -> None:
        if not self._keep_all:
            pieces.clear()  # without a cache every pass computes all tokens again
        # Some modules take all tokens in one axis; the last pass of a block around this one has more than ours.
        width = self._widths.setdefault(matrix.hook_name, activation.numel() // self._shape.numel())
        pieces.append(matrix.scores_of(activation.reshape(self._shape[0], -1, width)))

    def finish(self, sequences: torch.Tensor, cache_is_shared: bool) -> NDArray[np.float64]:
        """Return the scores (sequences, tokens, scores) of finished sequences, after a pass over their last token."""
        n_tokens, n_before = sequences.shape[1], self._n_before or 0
        n_scored = n_before + sum(piece.shape[1] for piece in self._pieces[0])
        if n_scored < n_tokens:
            self._run_last_token(sequences, cache_is_shared)
        scores = np.full((*sequences.shape, self._n_scores), np.nan)
        for matrix, pieces in zip(self._matrices, self._pieces, strict=True):
            # On CUDA some passes may be of tokens that generate has discarded at the end.
            together = torch.cat(pieces, dim=1)[:, : n_tokens - n_before]
            scores[:, n_before : n_before + together.shape[1], list(matrix.outputs)] = together.cpu().double().numpy()
        return scores

    def _run_last_token(self, sequences: torch.Tensor, cache_is_shared: bool) -> None:
        """Run the last token with the cache of the last pass; without a cache, the whole sequences."""
        last, cache, mask = self._last, self._last.get("past_key_values"), self._last.get("attention_mask")
        if self._keep_all and cache is not None and (mask is None or mask.ndim == 2):
            inputs = {**last, "input_ids": sequences[:, -1:]}
            inputs["past_key_values"] = copy.deepcopy(cache) if cache_is_shared else cache
            if mask is not None:
                inputs["attention_mask"] = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            for name in ("position_ids", "cache_position"):
                if last.get(name) is not None:
                    inputs[name] = last[name][..., -1:] + 1
            with torch.no_grad():
                self._model.model(**inputs)
            return
        mask = torch.ones_like(sequences)
        if self.first_mask is not None:
            mask[:, : self.first_mask.shape[1]] = self.first_mask
        self._keep_all, self._n_before, self._shape = False, 0, sequences.shape
        # The hooks that are attached score; those of the run end it after the last of them.
        self._model.run(sequences, mask, {matrix.hook_name: lambda _: None for matrix in self._matrices})


def _is_token(tokens: NDArray[np.int64], options: _Options, mask: torch.Tensor | None) -> NDArray[np.bool_]:
    """Return (sequences, tokens) where there is no padding: neither before a prompt nor after the end of a sequence."""
    is_token = np.ones(tokens.shape, dtype=bool)
    if mask is not None:
        is_token[:, : mask.shape[1]] = mask.cpu().numpy() > 0
    end = options.get("eos_token_id")
    new = tokens[:, options.n_prompt :]
    if end is not None and new.size:
        ended = np.isin(new, np.atleast_1d(np.asarray(end))).cumsum(axis=1)
        is_token[:, options.n_prompt :] &= np.pad(ended, ((0, 0), (1, 0)))[:, :-1] == 0
    return is_token
