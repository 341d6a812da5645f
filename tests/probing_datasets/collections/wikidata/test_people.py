"""Tables of people: rows of a query, values, names."""

from pathlib import Path

import pytest

from probing_datasets.collections.wikidata.people import Person, is_specific, read_people
from probing_datasets.foundation.errors import SourceError
from tests.builders.sources import write_table


def person(tmp_path: Path, **cells: str) -> Person:
    source = write_table(tmp_path / "people.csv", [{"name": "Ada Lovelace", **cells}])
    return read_people(source, tuple(cells))["Ada Lovelace"]


def test_rows_of_a_query_are_one_person(tmp_path):
    """A query returns a row for each combination of values."""
    rows = [
        {"item": "http://www.wikidata.org/entity/Q1", "name": "Ada Lovelace", "occupation": "poet", "party": ""},
        {"item": "http://www.wikidata.org/entity/Q1", "name": "Ada Lovelace", "occupation": "programmer", "party": ""},
        {"item": "http://www.wikidata.org/entity/Q2", "name": "Grace Hopper", "occupation": "", "party": ""},
    ]
    people = read_people(write_table(tmp_path / "query.csv", rows), ("occupation", "party"))
    assert people == {
        "Ada Lovelace": Person("Ada Lovelace", {"occupation": {"poet", "programmer"}, "party": set()}),
        "Grace Hopper": Person("Grace Hopper", {"occupation": set(), "party": set()}),
    }


@pytest.mark.parametrize("cell", ["female", " female ", "Q6581072", "http://www.wikidata.org/entity/Q6581072"])
def test_values_by_label_number_or_address(tmp_path, cell):
    assert person(tmp_path, gender=cell).of("gender") == {"female"}


def test_lists_of_values(tmp_path):
    path = tmp_path / "people.jsonl"
    path.write_text('{"name": "Ada Lovelace", "citizenship": ["Q145", "Poland"], "death_year": 1852.0}\n')
    ada = read_people(str(path), ("citizenship", "death_year"))["Ada Lovelace"]
    assert ada.values == {"citizenship": {"United Kingdom", "Poland"}, "death_year": {"1852"}}


def test_names_are_trimmed_and_rows_without_one_are_skipped(tmp_path):
    source = write_table(tmp_path / "people.csv", [{"name": " Ada \n Lovelace ", "x": ""}, {"name": "", "x": "a"}])
    assert list(read_people(source, ("x",))) == ["Ada Lovelace"]


def test_a_missing_column(tmp_path):
    source = write_table(tmp_path / "people.csv", [{"name": "Ada Lovelace", "sex": "female"}])
    with pytest.raises(SourceError, match="has no column 'gender'.*it has: name, sex"):
        read_people(source, ("gender",))


@pytest.mark.parametrize(
    ("name", "specific"),
    [("Ada Lovelace", True), ("Al Gore", False), ("Michelangelo", False), ("Ng Thi Do", True), ("", False)],
)
def test_names_that_are_not_specific(name, specific):
    assert is_specific(name) == specific
