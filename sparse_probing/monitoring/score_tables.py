"""The tables that scored texts fill: one row for each text, or for each token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config.monitoring import ScorePooling
from sparse_probing.monitoring.score_pooling import pool_texts
from sparse_probing.monitoring.text_source import NumberedText
from sparse_probing.saved_probes.predictions import predicted_classes
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_matrices import score_names
from sparse_probing.saved_probes.text_scorer import ScoredText

TEXT_COLUMNS = ("text", "label", "n_tokens", "note")
TOKEN_COLUMNS = ("text", "position", "token", "start", "stop")
STORE_COLUMNS = ("sequence", "position")
"""Columns before the scores: of tables of texts, of tokens, and of the rows of a store."""


def score_columns(names: Sequence[str], poolings: Sequence[ScorePooling] = ()) -> list[str]:
    """Return the names of the columns of scores: those of the texts, then those of each pooling (``NAME_POOLING``).

    A name that another column has gets ``_score`` behind it.
    """
    taken = {*TEXT_COLUMNS, *TOKEN_COLUMNS, *STORE_COLUMNS}
    free = [f"{name}_score" if name in taken else name for name in names]
    columns = [*free, *(f"{name}_{pooling}" for pooling in poolings for name in free)]
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise ProbeError(f"Two scores would be named {twice!r}. Apply these probes one after the other.")
    return columns


def text_table(
    texts: Sequence[NumberedText],
    scored: Sequence[ScoredText],
    probes: Sequence[ProbeData],
    poolings: Sequence[ScorePooling] = (),
) -> pa.Table:
    """Return one row for each text: its number, label, tokens, note, scores (NaN where there are none), and classes.

    The class that a probe of several classes predicts is in the column of its name with ``_class`` behind it.
    """
    names = score_names(probes)
    scores = np.stack([each.scores for each in scored]) if scored else np.empty((0, len(names)))
    pooled = [_pooled(scored, pooling, len(names)) for pooling in poolings]
    columns = _columns_of(np.concatenate([scores, *pooled], axis=1), score_columns(names, poolings))
    classes = {f"{name}_class": of_texts for name, of_texts in predicted_classes(probes, scores).items()}
    if twice := next((name for name in classes if name in columns), None):
        raise ProbeError(f"A class and a score would be named {twice!r}. Apply these probes one after the other.")
    return pa.table(
        {
            "text": pa.array([text.number for text in texts], pa.int64()),
            "label": pa.array([text.label for text in texts], pa.string()),
            "n_tokens": pa.array([each.prompt.n_tokens for each in scored], pa.int64()),
            "note": pa.array([text.problem or each.prompt.note for text, each in zip(texts, scored, strict=True)]),
            **columns,
            **{name: pa.array(of_texts, pa.string()) for name, of_texts in classes.items()},
        }
    )


def token_table(texts: Sequence[NumberedText], scored: Sequence[ScoredText], probes: Sequence[ProbeData]) -> pa.Table:
    """Return one row for each scored token: number of its text, position, string, first and last character, scores.

    The characters of a chat are those of the message in its template.
    """
    names = score_names(probes)
    lengths = [len(each.token_scores) for each in scored]
    spans = [each.prompt.spans if each.prompt.spans is not None else np.empty((0, 2)) for each in scored]
    characters = np.concatenate([np.empty((0, 2)), *spans]).astype(np.int32)
    in_text = np.split(characters, np.cumsum(lengths)[:-1]) if lengths else []
    tokens = [e.prompt.text[start:stop] for e, of in zip(scored, in_text, strict=True) for start, stop in of.tolist()]
    scores = np.concatenate([np.empty((0, len(names))), *(each.token_scores for each in scored)])
    positions = np.concatenate([np.empty(0), *(np.arange(length) for length in lengths)])
    return pa.table(
        {
            "text": pa.array(np.repeat([text.number for text in texts], lengths).astype(np.int64)),
            "position": pa.array(positions.astype(np.int32)),
            "token": pa.array(tokens, pa.string()),
            "start": pa.array(characters[:, 0]),
            "stop": pa.array(characters[:, 1]),
            **_columns_of(scores, score_columns(names)),
        }
    )


def _columns_of(scores: NDArray[np.float64], names: Sequence[str]) -> dict[str, pa.Array]:
    return {name: pa.array(scores[:, i]) for i, name in enumerate(names)}


def _pooled(scored: Sequence[ScoredText], pooling: ScorePooling, n_scores: int) -> NDArray[np.float64]:
    """Return (n, scores); NaN for texts without tokens.

    Tokens beyond the context of a probe do not count, nor those of a chat that are not of the probed side.
    """
    token_scores = [
        each.token_scores if each.prompt.is_pooled is None else each.token_scores[each.prompt.is_pooled]
        for each in scored
    ]
    pooled = np.full((len(scored), n_scores), np.nan)
    for output in range(n_scores):
        finite = [each[~np.isnan(each[:, output]), output] for each in token_scores]
        with_tokens = [i for i, each in enumerate(finite) if len(each)]
        if with_tokens:
            pooled[with_tokens, output] = pool_texts([finite[i] for i in with_tokens], pooling)
    return pooled
