"""Any table or folder with texts and labels: two classes, several classes, lists of labels, or numbers.

This collection is for a user's own data. The table labels each text. Texts with the same value of the
group column are one group; without a group column, identical texts are one group. The probed token is the
last of a text, as in Kantamneni et al. (2025), whose 113 binary data sets (package ``sae-probes``, columns
``prompt`` and ``target``) can be read; or the probed tokens are drawn from the whole text.

References
----------
Kantamneni et al. (2025), Are Sparse Autoencoders Useful? A Case Study in Sparse Probing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Suppress

from probing_datasets.building.annotation import annotate_texts
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import last_position, random_positions
from probing_datasets.building.column_labels import LabelKind, label_column, text_of
from probing_datasets.building.sequences import cut_texts, open_tokenizer
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import draw_texts, read_options
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.given_splits import with_given_split
from probing_datasets.make_config import CollectionName, MakeConfig
from probing_datasets.sources.groups import group_of_text
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_rows import SourceColumns, TextRow


@dataclass(frozen=True)
class LabelledTextConfig(MakeConfig):
    """Texts of a table with their labels."""

    collection: Suppress[CollectionName] = "labelled_text"
    file_column: str = ""
    """Column of the paths of text files, relative to the folder of the table, which are read in place of
    --text_column."""
    split_column: str = ""
    """Column that says of each text whether it is for `train`, `validation` or `test`. Stage 2 then tests on the texts
    for `test` and fits on all others; empty: it splits groups at random."""
    feature_name: str = ""
    """Name of the feature of --label_column; default: the name of the column."""
    group_column: str = ""
    """Column of what must not be split between training and test rows; empty: identical texts are one group."""
    further_labels: tuple[str, ...] = ()
    """More columns that become features; a row without a label is not used for that feature."""
    label_kind: LabelKind = "auto"
    """Kind of the labels; `auto`: two values are binary, more than 20 numbers regression, everything else classes."""
    positive_label: str = ""
    """Value that is positive, against all others; by default the second of two (0 < 1, negative < positive)."""
    probed_tokens: Literal["last", "some"] = "last"
    """The `last` token of a text (a text longer than the context loses its beginning), or `some`:
    --positions_per_sequence tokens of pieces of it, at random. With aggregation in stage 1, both are suitable."""
    texts_per_label: int = 10_000
    """At most this many texts of each label, drawn at random; with --label_kind regression, of all texts."""
    min_tokens: int = 1
    """Shorter sequences are dropped."""


def build(config: LabelledTextConfig, names: tuple[str, ...] = ()) -> FeatureDataset:
    """Build the features of the label columns of a table.

    Parameters
    ----------
    config : LabelledTextConfig
    names : tuple of str
        Names of the features; by default those of their columns.

    Raises
    ------
    SourceError
        When the table cannot be read, or a column is missing.
    DatasetError
        When labels do not fit their kind, or are too few.
    """
    skipped = Counter[str]()
    texts = draw_texts(config, labelled_rows(config, skipped), skipped)
    if config.probed_tokens == "some":
        sequences = cut_texts(config, texts)
        candidates = random_positions(config, sequences)
    else:
        opened = open_tokenizer(config)
        tokenized = annotate_texts(opened.tokenizer, texts.rows, None, config.num_proc)
        sequences = keep_ends(config, opened, texts, tokenized)
        candidates = last_position(sequences)
    text_of_position = sequences.origin[candidates.sequence]
    features: list[tuple[str, Labels]] = []
    cells_of_columns = zip(*(row.extra for row in sequences.texts), strict=True)
    names = names or (config.label_column, *config.further_labels)
    if config.feature_name:
        names = (config.feature_name, *names[1:])
    for name, cells in zip(names, cells_of_columns, strict=False):  # the last may be the split
        for column in label_column(name, cells, config.label_kind, config.positive_label):
            values, known = column.values[text_of_position], column.known[text_of_position]
            features.append((column.name, Labels(column.kind, values, known, column.classes)))
    dataset = assemble(config, sequences, candidates, features, join_copies=True)
    if not config.split_column:
        return dataset
    return with_given_split(dataset, [str(sequences.texts[text].extra[-1]) for text in sequences.origin])


def labelled_rows(config: LabelledTextConfig, skipped: Counter[str]) -> Iterator[TextRow]:
    """Yield the texts of the source that have a label, with the cells of the label columns as ``extra``."""
    labels = (config.label_column, *config.further_labels)
    required = config.label_column if len(labels) == 1 else ""
    columns = (*labels, config.split_column) if config.split_column else labels
    source_columns = SourceColumns(
        config.text_column, required, config.group_column, columns, config.file_column, config.missing_labels
    )
    for row in read_source(config.source, config.collection, source_columns, read_options(config), skipped):
        cells = tuple(
            [text_of(label) for label in cell] if isinstance(cell, list) else text_of(cell) for cell in row.extra
        )
        if not any(cell != "" for cell in cells[: len(labels)]):
            skipped["texts have no label"] += 1
            continue
        if config.split_column and cells[-1] == "":
            skipped["texts are in no part of the split (--split_column)"] += 1
            continue
        stratum = "" if config.label_kind == "regression" else str(cells[0])
        yield row._replace(
            label=stratum, group=row.group if config.group_column else group_of_text(row.text), extra=cells
        )
