"""Whether a statement is true, probed at the last token of its target: the collection ``counterfact``.

A fact of CounterFact has a subject, a relation, a true target and a false one ("The harbour of Bergen
lies in | Norway | Peru"), which makes a true and a false statement. The feature ``text_true`` is
probed at the last token of the target, where a model that reads from left to right first knows the
statement. All statements about one subject are one group. The tokens of subject and target are
spans of the data set.

References
----------
Meng et al. (2022), Locating and Editing Factual Associations in GPT; Gurnee et al. (2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import last_tokens, tokens_within
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import every_position
from probing_datasets.building.column_labels import text_of
from probing_datasets.building.sequences import cut_texts
from probing_datasets.building.text_sampling import draw_texts, read_options
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.spans import spans_of_marks, with_spans
from probing_datasets.foundation.errors import AnnotationError
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_rows import SourceColumns, TextRow

TRUE_LABELS = ("1", "true", "yes")

SUBJECT, TARGET, LAST_OF_TARGET = range(3)
"""Columns of the annotations of tokens."""


@dataclass(frozen=True)
class CounterfactConfig(MakeConfig):
    """Whether a statement about a subject is true, at the last token of its target."""

    collection: Suppress[CollectionName] = "counterfact"
    source: str = "NeelNanda/counterfact-tracing"
    """A table of facts or statements, or a hub data set."""
    layout: Literal["facts", "statements"] = "facts"
    """`facts`: a row has a prompt, subject, target_true and target_false, and makes a true and a false statement;
    `statements`: a row has a text, subject, target and --label_column (1 or true: it is true)."""
    text_column: str = ""
    """Column of the text; empty: `prompt` of facts, `text` of statements."""
    group_column: Suppress[str] = "subject"
    texts_per_label: int = 30_000
    """At most this many true, and as many false statements, drawn at random."""
    min_tokens: int = 1
    """Shorter sequences are dropped."""


def build(config: CounterfactConfig) -> FeatureDataset:
    """Build the feature ``text_true``.

    Raises
    ------
    SourceError
        When the table cannot be read, a column is missing, or no statement has a subject and a target.
    DatasetError
        When there are too few statements.
    """
    skipped = Counter[str]()
    texts = draw_texts(config, statements(config, skipped), skipped)
    sequences = cut_texts(config, texts, mark_subject_and_target)
    candidates = every_position(config, sequences)
    candidates = candidates.select(candidates.take(sequences.annotations)[:, LAST_OF_TARGET])
    is_true = sequences.labels[candidates.sequence] == "true"
    dataset = assemble(config, sequences, candidates, [("text_true", Labels("binary", is_true))])
    return with_spans(
        dataset,
        {
            "subject": spans_of_marks([marks[:, SUBJECT] for marks in sequences.annotations]),
            "target": spans_of_marks([marks[:, TARGET] for marks in sequences.annotations]),
        },
    )


def statements(config: CounterfactConfig, skipped: Counter[str]) -> Iterator[TextRow]:
    """Yield the statements of the source: the label is ``true`` or ``false``, the group is the subject.

    ``extra`` holds the characters [start, stop) of the subject and of the target.
    """
    of_facts = config.layout == "facts"
    further = ("subject", "target_true", "target_false") if of_facts else ("subject", "target", config.label_column)
    text_column = config.text_column or ("prompt" if of_facts else "text")
    columns = SourceColumns(text_column, "", "", further, missing=config.missing_labels)
    parse = statements_of_fact if of_facts else statement_of_text
    for row in read_source(config.source, config.collection, columns, read_options(config), skipped):
        cells = [text_of(cell) for cell in row.extra]
        if not of_facts and not cells[-1]:
            skipped["statements have no label"] += 1
            continue
        statements_of_row = parse(row.text, *cells)
        if not statements_of_row:
            skipped["rows do not name their subject and target"] += 1
        yield from statements_of_row


def statements_of_fact(prompt: str, subject: str, true_target: str, false_target: str) -> list[TextRow]:
    """Return the true and the false statement of a fact; none if the prompt does not name its subject."""
    start = prompt.find(subject)
    if not subject or start < 0:
        return []
    before = prompt.rstrip() + " "
    return [
        _statement(before + target, label, subject, start, len(before), target)
        for target, label in ((true_target, "true"), (false_target, "false"))
        if target
    ]


def statement_of_text(text: str, subject: str, target: str, label: str) -> list[TextRow]:
    """Return a statement with its first subject and its last target; none if the text does not contain both."""
    subject_start, target_start = text.find(subject), text.rfind(target)
    if not subject or not target or subject_start < 0 or target_start < 0:
        return []
    is_true = "true" if label.lower() in TRUE_LABELS else "false"
    return [_statement(text, is_true, subject, subject_start, target_start, target)]


def _statement(text: str, label: str, subject: str, subject_start: int, target_start: int, target: str) -> TextRow:
    spans = (subject_start, subject_start + len(subject), target_start, target_start + len(target))
    return TextRow(text, label, subject, spans)


def mark_subject_and_target(row: TextRow, spans: np.ndarray) -> np.ndarray:
    """Return (m, 3) bool: tokens of the subject, tokens of the target, and the last one of the target."""
    subject_start, subject_stop, target_start, target_stop = row.extra
    (last,) = last_tokens(spans, [target_stop - 1])
    if last < 0:
        raise AnnotationError("no token covers the end of the target")
    marks = np.zeros((len(spans), 3), bool)
    marks[tokens_within(spans, subject_start, subject_stop), SUBJECT] = True
    marks[tokens_within(spans, target_start, target_stop), TARGET] = True
    marks[last, LAST_OF_TARGET] = True
    return marks
