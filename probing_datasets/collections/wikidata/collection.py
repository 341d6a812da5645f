"""Properties of people, probed on the tokens of their names: the collections ``wikidata_*``.

A table holds properties of people: sex, occupation, party and so on; a text names them. A sequence
is the text before a name, and the name, whose last token is probed; all tokens of the name are the span
to aggregate over. A person with no class of the property, or with more than one, is dropped. All
sequences with one name are one group.

References
----------
Gurnee et al. (2023), appendix on the Wikidata features.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from tyro.conf import Suppress

from probing_datasets.building.alignment import tokens_within
from probing_datasets.building.annotation import annotate_texts
from probing_datasets.building.assembly import Labels, assemble
from probing_datasets.building.candidate_positions import last_position
from probing_datasets.building.sequences import LabelledSequences, open_tokenizer
from probing_datasets.building.text_endings import keep_ends
from probing_datasets.building.text_sampling import Texts, draw_texts, read_options
from probing_datasets.collections.wikidata.contexts import TEMPLATES, in_running_text, in_templates
from probing_datasets.collections.wikidata.people import is_specific, read_people
from probing_datasets.collections.wikidata.properties import PROPERTIES
from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.spans import POOLED, with_spans
from probing_datasets.foundation.errors import SettingsError, SourceError
from probing_datasets.make_config import MakeConfig
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.text_rows import SourceColumns, TextRow

FROM_TEMPLATES = "templates"


@dataclass(frozen=True)
class WikidataConfig(MakeConfig):
    """A property of the people whose names occur in a text."""

    people: str = ""
    """Table of people: a file, the CSV result of a Wikidata query, or a hub data set. Columns: name, and those of
    gender, occupation, party, citizenship, is_alive, death_year that the property needs."""
    source: str = FROM_TEMPLATES
    """Texts that contain the names; `templates`: sentences made for each name."""
    templates: tuple[str, ...] = TEMPLATES
    """Sentences with `{name}`; text after the name is not used."""
    group_column: Suppress[str] = "name"
    sequences_per_name: int = 1
    """At most this many sequences of each name."""
    min_tokens: int = 1
    """Shorter sequences are dropped."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values outside their range."""
        super().__post_init__()
        if self.sequences_per_name < 1:
            raise SettingsError(f"--sequences_per_name must be at least 1, not {self.sequences_per_name}.")
        if invalid := [template for template in self.templates if "{name}" not in template]:
            raise SettingsError(f"--templates must contain {{name}} in place of the name: {invalid[0]!r}.")
        if not self.templates and self.source == FROM_TEMPLATES:
            raise SettingsError("--templates is empty; pass sentences with {name}, or texts as --source.")


def build(config: WikidataConfig) -> FeatureDataset:
    """Build a binary feature for each class of a property and, if there are more than two, a multiclass one.

    Raises
    ------
    SettingsError
        When there is no table of people.
    SourceError
        When a table cannot be read, a column is missing, or no name is found.
    DatasetError
        When fewer than two classes have enough people.
    """
    texts = name_texts(config)
    opened = open_tokenizer(config)
    tokenized = list(annotate_texts(opened.tokenizer, texts.rows, mark_name, config.num_proc))
    sequences = keep_ends(config, opened, texts, tokenized)
    dataset = assemble(config, sequences, last_position(sequences), _features(config, sequences))
    n_of_name = np.array([tokenized[i].values.sum() for i in sequences.origin])
    stop = sequences.lengths - len(sequences.frame.suffix)
    first = np.maximum(stop - n_of_name, len(sequences.frame.prefix))  # a long name may lose its beginning
    return with_spans(dataset, {POOLED: np.stack([first, stop], axis=1)})


def name_texts(config: WikidataConfig) -> Texts:
    """Draw texts that end with a name: the label is the class, the group the name, ``extra`` where the name starts."""
    skipped = Counter[str]()
    class_of_name = classes_of_names(config, skipped)
    if config.source == FROM_TEMPLATES:
        rows = in_templates(class_of_name, config.templates, config.sequences_per_name, config.seed)
    else:
        columns = SourceColumns(config.text_column, "", "")
        texts = read_source(config.source, config.collection, columns, read_options(config), skipped)
        rows = in_running_text(class_of_name, texts, config.sequences_per_name)
    return draw_texts(config, rows, skipped)


def classes_of_names(config: WikidataConfig, skipped: Counter[str]) -> dict[str, str]:
    """Return the class of each name in the table that has a class and is specific."""
    if not config.people:
        raise SettingsError(
            f"{config.collection} needs a table of people. Pass --people; docs/collections/wikidata.md describes it."
        )
    property_ = PROPERTIES[config.collection]
    options = read_options(config)._replace(split="train")  # the split is that of the texts
    people = read_people(config.people, property_.columns, options, config.missing_labels).values()
    specific = [person for person in people if is_specific(person.name)]
    skipped["names are too short, or of one word"] += len(people) - len(specific)
    classes = {person.name: property_.class_of(person) for person in specific}
    class_of_name = {name: label for name, label in classes.items() if label is not None}
    skipped["people have no class, or several"] += len(classes) - len(class_of_name)
    if not class_of_name:
        raise SourceError(f"{config.people} has no person with one of the classes: {', '.join(property_.classes)}.")
    return class_of_name


def mark_name(row: TextRow, spans: np.ndarray) -> np.ndarray:
    """Return (m,) bool: the tokens of the name at the end of the text."""
    (start,) = row.extra
    marks = np.zeros(len(spans), bool)
    marks[tokens_within(spans, start, len(row.text))] = True
    return marks


def _features(config: WikidataConfig, sequences: LabelledSequences) -> list[tuple[str, Labels]]:
    classes = PROPERTIES[config.collection].classes
    if len(classes) == 2:
        return [(classes[1], Labels("binary", sequences.labels == classes[1]))]
    one_each = [(name, Labels("binary", sequences.labels == name)) for name in classes]
    numbers = np.array([classes.index(label) for label in sequences.labels], np.int64)
    together = config.collection.removeprefix("wikidata_")
    return [*one_each, (together, Labels("multiclass", numbers, classes=classes))]
