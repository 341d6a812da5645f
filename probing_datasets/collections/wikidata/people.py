"""People and their properties, from a table or the result of a Wikidata query."""

from __future__ import annotations

from dataclasses import dataclass, field

from probing_datasets.building.column_labels import text_of
from probing_datasets.sources.read_source import read_source
from probing_datasets.sources.table_files import PLAIN, ReadOptions
from probing_datasets.sources.text_rows import SourceColumns

MIN_NAME_CHARACTERS = 8
"""Shorter names are too often names of other people, or words (Gurnee et al. 2023)."""

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
"""Class of the paper for each Wikidata item."""


@dataclass(frozen=True)
class Person:
    """A name, and all values of it in a table."""

    name: str
    values: dict[str, set[str]] = field(default_factory=dict)
    """By column of the table; empty if the table has no value."""

    def of(self, column: str) -> set[str]:
        """Return the values of a column; an empty set if they are unknown."""
        return self.values.get(column, set())


def read_people(
    source: str, columns: tuple[str, ...], options: ReadOptions = PLAIN, missing: tuple[str, ...] = ()
) -> dict[str, Person]:
    """Read a table of people: a file, the result of a Wikidata query, or a data set on the hub.

    Parameters
    ----------
    source : str
        As for `read_source`, with a column ``name``.
    columns : tuple of str
        Further columns to read. A value may be a list; an item of Wikidata may be given by its
        label, its number (``Q30``) or its address.
    options : ReadOptions
    missing : tuple of str
        What a missing value is called in a table of text.

    Returns
    -------
    dict
        People by name, in the order of the table. Rows with the same name are one person: a query returns a
        row for each combination of values, and a text does not distinguish people of the same name. The
        values of all rows are joined, so that a property on which rows differ has no single class.

    Raises
    ------
    SourceError
        When the table cannot be read, or a column is missing.
    """
    people: dict[str, Person] = {}
    for row in read_source(source, "wikidata", SourceColumns("name", "", "", columns, missing=missing), options):
        name = " ".join(row.text.split())
        person = people.setdefault(name, Person(name, {column: set() for column in columns}))
        for column, cell in zip(columns, row.extra, strict=True):
            for text in map(text_of, cell if isinstance(cell, list) else [cell]):
                if text:
                    person.values[column].add(LABEL_OF_ITEM.get(text.rpartition("/")[2], text))
    return people


def is_specific(name: str) -> bool:
    """Return whether a name is long enough and has two words or more: other names often do not mean the person."""
    return len(name) >= MIN_NAME_CHARACTERS and " " in name
