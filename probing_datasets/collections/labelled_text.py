"""Any table with texts and labels: two classes, several classes, several labels at once, or numbers.

This is the road for data of one's own. A text has the label that its table gives it; texts with one
value of the group column, or texts that are the same where there is no such column, are one group.
What is probed is the last token of a text, as in Kantamneni et al. (2025), whose 113 binary data sets
(package ``sae-probes``, columns ``prompt`` and ``target``) can be read, or tokens drawn from all of it.

References
----------
Kantamneni et al. (2025), Are Sparse Autoencoders Useful? A Case Study in Sparse Probing.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from tyro.conf import Suppress

from probing_datasets.building.annotation import annotate_texts
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import Candidates, last_position, some_positions
from probing_datasets.building.column_labels import LabelKind, label_column, text_of
from probing_datasets.building.sequences import LabelledSequences, cut_texts, open_tokenizer
from probing_datasets.building.sources import SourceColumns, TextRow, read_source
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import Texts, draw_texts
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make_config import CollectionName, MakeConfig


@dataclass(frozen=True)
class LabelledTextConfig(MakeConfig):
    """Texts of a table with their labels."""

    collection: Suppress[CollectionName] = "labelled_text"
    name: str = ""
    """First part of the name of the data set, for several tables beside each other; empty: the collection's name."""
    group_column: str = ""
    """What must not be split between training and test rows; empty: texts that are the same are one group."""
    further_labels: tuple[str, ...] = ()
    """Columns beside --label_column that become features too; a row without a label is left out of that feature."""
    label_kind: LabelKind = "auto"
    """What labels are; `auto`: two values or more than 20 numbers are recognised, everything else is classes."""
    positive_label: str = ""
    """Value that is positive, against all others; by default the second of two (0 < 1, negative < positive)."""
    probed_tokens: Literal["last", "some"] = "last"
    """The `last` token of a text, whose end is kept where it is longer than the context, or `some`:
    --positions_per_sequence of pieces of it, at random. For stage 1 with aggregation either will do."""
    texts_per_label: int = 10_000
    """At most this many texts of each label, drawn at random; in all, where --label_kind is given as regression."""
    min_tokens: int = 1
    """Shorter sequences are left out."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        if re.fullmatch(r"[\w-]*", self.name) is None:
            raise SettingsError(f"--name must consist of letters, digits, _ and -, not {self.name!r}.")


def build(config: LabelledTextConfig, names: tuple[str, ...] = ()) -> FeatureDataset:
    """Build the features of the label columns of a table.

    Parameters
    ----------
    config : LabelledTextConfig
        Settings.
    names : tuple of str
        Names of the features; by default those of their columns.

    Raises
    ------
    SourceError
        When the table cannot be read or lacks a column.
    DatasetError
        When labels do not fit their kind, or are too few.
    """
    skipped = Counter[str]()
    texts = draw_texts(config, labelled_rows(config, skipped), skipped)
    sequences, candidates = _probed(config, texts)
    features = _features(config, sequences, candidates, names or _label_columns(config))
    return _renamed(config, assemble(config, sequences, candidates, features))


def labelled_rows(config: LabelledTextConfig, skipped: Counter[str]) -> Iterator[TextRow]:
    """Yield the texts of the source that have a label, with the cells of the label columns as ``extra``."""
    columns = _label_columns(config)
    required = config.label_column if len(columns) == 1 else ""
    wanted = SourceColumns(config.text_column, required, config.group_column, columns)
    for row in read_source(config.source, config.collection, wanted, config.source_split, skipped):
        cells = tuple(_json_value(cell) for cell in row.extra)
        if not any(cell != "" for cell in cells):
            skipped["texts have no label"] += 1
            continue
        stratum = "" if config.label_kind == "regression" else str(cells[0])
        yield row._replace(label=stratum, group=row.group if config.group_column else digest(row.text), extra=cells)


def digest(text: str) -> str:
    """Return a short name of a text (hex), the same for the same text."""
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).hexdigest()


def _label_columns(config: LabelledTextConfig) -> tuple[str, ...]:
    return (config.label_column, *config.further_labels)


def _json_value(cell: Any) -> str | list[str]:
    return [text_of(label) for label in cell] if isinstance(cell, list) else text_of(cell)


def _renamed(config: LabelledTextConfig, dataset: FeatureDataset) -> FeatureDataset:
    _, _, rest = dataset.name.partition(".")
    name = f"{config.name or config.collection}.{rest}"
    return replace(dataset, description=replace(dataset.description, name=name))


def _probed(config: LabelledTextConfig, texts: Texts) -> tuple[LabelledSequences, Candidates]:
    if config.probed_tokens == "some":
        sequences = cut_texts(config, texts)
        return sequences, some_positions(config, sequences)
    opened = open_tokenizer(config)
    tokenized = annotate_texts(opened.tokenizer, texts.rows, None, config.num_proc)
    sequences = keep_ends(config, opened, texts, tokenized)
    return sequences, last_position(sequences)


def _features(
    config: LabelledTextConfig, sequences: LabelledSequences, candidates: Candidates, names: tuple[str, ...]
) -> Iterator[tuple[str, Labels]]:
    rows = sequences.origin[candidates.sequence]
    for name, cells in zip(names, zip(*(row.extra for row in sequences.texts), strict=True), strict=True):
        for column in label_column(name, cells, config.label_kind, config.positive_label):
            yield column.name, Labels(column.kind, column.values[rows], column.known[rows], column.classes)
