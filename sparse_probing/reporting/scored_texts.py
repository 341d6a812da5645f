"""Pages of scored texts: from a table of scores or from a generation to `token_page`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from probing_datasets.sources.table_files import PLAIN, ReadOptions
from sparse_probing.models import LanguageModel
from sparse_probing.monitoring.prompts import ScoredTokens
from sparse_probing.monitoring.score_files import ScoredFile, note_in_words
from sparse_probing.monitoring.text_source import NumberedText, read_texts
from sparse_probing.reporting.pages.token_page import ScoredTexts, ShownText, write_token_page
from sparse_probing.saved_probes.predictions import predictions_in_words
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_prompts import split_at
from sparse_probing.saved_probes.text_scorer import ScoredText, TextScorer


def text_page(
    path: Path,
    probes: Sequence[ProbeData],
    model: LanguageModel,
    source: Path,
    table: Path,
    record: ScoredFile,
    n_shown: int,
    options: ReadOptions = PLAIN,
    batch_size: int = 32,
) -> None:
    """Write the page of a table of scores: the tokens of its first texts, and the scores of all of them by label.

    Parameters
    ----------
    path : Path
        Page to write.
    probes : sequence of ProbeData
    model : LanguageModel
    source : Path
        The texts.
    table : Path
        Their scores, as `apply_to_file` wrote them.
    record : ScoredFile
        Its record.
    n_shown : int
        Texts on the page at most.
    options : ReadOptions
    batch_size : int
    """
    plan = record.plan
    texts = list(islice(read_texts(source, plan["text_column"], plan["label_column"], options), n_shown))
    scorer = TextScorer(model, probes, batch_size, per_token=True)
    scored = scorer.score([text.text for text in texts])
    if plan["per_token"]:
        all_scores, labels = np.stack([each.scores for each in scored]), [text.label for text in texts]
        n_texts = None
    else:
        n_names = len(scorer.names)
        columns = pq.read_table(table, columns=["label", *record.columns])
        all_scores = np.stack([columns[name].to_numpy() for name in record.columns], axis=1)
        # A probe of tokens has no score of a text, but pooled ones: the first pooling is shown.
        pooled = all_scores[:, n_names : 2 * n_names]
        if pooled.shape[1]:
            is_empty = np.isnan(all_scores[:, :n_names]).all(axis=0)
            all_scores[:, :n_names][:, is_empty] = pooled[:, is_empty]
        all_scores, labels = all_scores[:, :n_names], columns["label"].to_pylist()
        n_texts = len(labels)
    notes = [_origin(probe) for probe in probes]
    shown = f"The first {len(texts):,} texts of {source.name}"
    notes.append(f"{shown} are shown." if n_texts is None else f"{shown}, of {n_texts:,}, are shown.")
    notes += [note_in_words(note, n, first) + "." for note, (n, first) in record.notes.items()]
    write_token_page(
        path,
        f"Scores of {source.name}",
        scorer.names,
        thresholds_of(probes),
        [_shown(text, each, probes) for text, each in zip(texts, scored, strict=True)],
        ScoredTexts(all_scores, labels),
        notes,
    )


def generation_page(path: Path, probes: Sequence[ProbeData], scored: ScoredTokens) -> None:
    """Write the page of a prompt and of what the model added to it."""
    n_new = len(scored.tokens) - scored.n_prompt
    heading = f"{scored.n_prompt} tokens of the prompt, {n_new} new ones" if n_new else "prompt"
    text_scores = np.full(len(scored.names), np.nan)
    if len(scored.text_scores):
        text_scores = scored.text_scores
        heading = ", ".join([heading, *predictions_in_words(probes, text_scores)])
    text = ShownText(
        heading,
        scored.tokens,
        scored.between,
        scored.rest,
        scored.scores,
        text_scores,
        scored.n_prompt if n_new else None,
    )
    notes = [_origin(probe) for probe in probes]
    write_token_page(path, "Scores of a prompt", scored.names, thresholds_of(probes), [text], notes=notes)


def thresholds_of(probes: Sequence[ProbeData]) -> list[float | None]:
    """Return the threshold of each score: None where a probe has several classes, or predicts a number."""
    return [p.threshold if p.kind == "binary" else None for p in probes for _ in p.intercept]


def _origin(probe: ProbeData) -> str:
    place = f"{probe.hook_point} of layer {probe.layer} of {probe.model}"
    threshold = f"; threshold {probe.threshold:.4g} ({probe.threshold_origin})" if probe.kind == "binary" else ""
    return f"{probe.feature}: {place}, trained on {probe.provenance.dataset}{threshold}."


def _shown(text: NumberedText, scored: ScoredText, probes: Sequence[ProbeData]) -> ShownText:
    """Return a text with its tokens between what belongs to none of them, and what the probes predict."""
    spans = scored.prompt.spans if scored.prompt.spans is not None else np.empty((0, 2), np.int32)
    tokens, between, rest = split_at(scored.prompt.text, spans)
    parts = [f"text {text.number}", f"label {text.label}" if text.label else "", text.problem or scored.prompt.note]
    parts += predictions_in_words(probes, scored.scores)
    return ShownText(", ".join(filter(None, parts)), tokens, between, rest, scored.token_scores, scored.scores)
