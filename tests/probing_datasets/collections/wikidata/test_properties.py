"""The class of a person for each property."""

import pytest

from probing_datasets.collections.wikidata.people import Person
from probing_datasets.collections.wikidata.properties import PROPERTIES

# Property; values of a person; class.
CASES = [
    ("sex_or_gender", {"gender": {"female"}}, "female"),
    ("sex_or_gender", {"gender": {"non-binary"}}, None),
    ("sex_or_gender", {"gender": {"male", "female"}}, None),
    ("sex_or_gender", {"gender": set()}, None),
    ("occupation", {"occupation": {"actor"}}, "actor"),
    ("occupation", {"occupation": {"actor", "painter"}}, "actor"),  # painter is not a class
    ("occupation", {"occupation": {"actor", "singer"}}, None),
    ("occupation", {"occupation": {"baseball player"}}, "athlete"),
    ("occupation", {"occupation": {"politician", "baseball player"}}, None),
    ("occupation_athlete", {"occupation": {"athlete", "baseball player"}}, "baseball player"),
    ("occupation_athlete", {"occupation": {"baseball player", "basketball player"}}, None),
    ("occupation_athlete", {"occupation": {"athlete"}}, None),
    ("political_party", {"party": {"Republican Party"}, "occupation": {"politician"}}, "Republican Party"),
    ("political_party", {"party": {"Republican Party"}, "occupation": {"actor"}}, None),
    ("political_party", {"party": {"Republican Party", "Democratic Party"}, "occupation": {"politician"}}, None),
    ("country_of_citizenship", {"citizenship": {"Poland", "France"}}, "France"),
    ("country_of_citizenship", {"citizenship": {"Poland"}}, None),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"1852"}}, "dead"),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"1980"}}, "dead"),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"1981"}}, None),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"-0043-03-15T00:00:00Z"}}, "dead"),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"+2001-03-15T00:00:00Z"}}, None),
    ("is_alive", {"is_alive": {"false"}, "death_year": {"unknown"}}, "dead"),
    ("is_alive", {"is_alive": {"True"}, "death_year": set()}, "alive"),
    ("is_alive", {"is_alive": {"true", "false"}, "death_year": set()}, None),
    ("is_alive", {"is_alive": set(), "death_year": set()}, None),
]


@pytest.mark.parametrize(("name", "values", "expected"), CASES)
def test_class_of_a_person(name, values, expected):
    assert PROPERTIES[f"wikidata_{name}"].class_of(Person("Ada Lovelace", values)) == expected
    assert set(values) == set(PROPERTIES[f"wikidata_{name}"].columns)
