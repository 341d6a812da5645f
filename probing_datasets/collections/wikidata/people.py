"""People and what is known of them, from a table or the result of a Wikidata query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from probing_datasets.building.column_labels import text_of
from probing_datasets.building.sources import SourceColumns, read_source

MIN_NAME_CHARACTERS = 8
"""Shorter names are too often those of others, or words (Gurnee et al. 2023)."""

LABEL_OF_ITEM = {
    "Q6581097": "male",
    "Q6581072": "female",
    "Q82955": "politician",
    "Q33999": "actor",
    "Q1650915": "researcher",
    "Q177220": "singer",
    "Q1930187": "journalist",
    "Q2066131": "athlete",
    "Q937857": "association football player",
    "Q3665646": "basketball player",
    "Q19204627": "American football player",
    "Q10871364": "baseball player",
    "Q11774891": "ice hockey player",
    "Q30": "United States of America",
    "Q145": "United Kingdom",
    "Q16": "Canada",
    "Q408": "Australia",
    "Q142": "France",
    "Q183": "Germany",
    "Q29468": "Republican Party",
    "Q29552": "Democratic Party",
}
"""Wikidata items that stand for the classes of the paper."""


@dataclass(frozen=True)
class Person:
    """A name, and all values that a table gives for it."""

    name: str
    values: dict[str, set[str]] = field(default_factory=dict)
    """By column of the table; empty where the table does not know."""

    def of(self, column: str) -> set[str]:
        """Return the values of a column; none where it is unknown."""
        return self.values.get(column, set())


def read_people(source: str, columns: tuple[str, ...], split: str = "train") -> dict[str, Person]:
    """Read a table of people: a file, the result of a Wikidata query, or a data set on the hub.

    Parameters
    ----------
    source : str
        As for `read_source`, with a column ``name``.
    columns : tuple of str
        Further columns to read. A value may be a list; an item of Wikidata may be given by its
        label, its number (``Q30``) or its address.
    split : str
        Split of a hub data set.

    Returns
    -------
    dict
        People by name, in the order of the table. Rows of one name are one person: a query gives a
        row for each combination of values, and namesakes cannot be told apart in a text. Values are
        united, so that a property on which rows differ has no single class.

    Raises
    ------
    SourceError
        When the table cannot be read or lacks a column.
    """
    people: dict[str, Person] = {}
    for row in read_source(source, "wikidata", SourceColumns("name", "", "", columns), split):
        name = " ".join(row.text.split())
        person = people.setdefault(name, Person(name, {column: set() for column in columns}))
        for column, cell in zip(columns, row.extra, strict=True):
            person.values[column].update(_values(cell))
    return people


def is_specific(name: str) -> bool:
    """Tell whether a name is long enough, and of two words or more: other names are often not the person."""
    return len(name) >= MIN_NAME_CHARACTERS and " " in name


def _values(cell: Any) -> set[str]:
    cells = cell if isinstance(cell, list) else [cell]
    return {LABEL_OF_ITEM.get(text.rpartition("/")[2], text) for text in map(text_of, cells) if text}
