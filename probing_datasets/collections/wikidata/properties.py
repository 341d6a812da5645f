"""Which class of a property a person has: the rules of Gurnee et al. 2023 (appendix on Wikidata)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from probing_datasets.collections.wikidata.people import Person

LAST_YEAR_OF_DEATH = 1980
"""Who died later is left out of ``wikidata_is_alive``: many texts about them were written while they lived."""

ATHLETES = (
    "American football player",
    "association football player",
    "baseball player",
    "basketball player",
    "ice hockey player",
)


@dataclass(frozen=True)
class Property:
    """A question about people, its possible answers, and how a person's values answer it."""

    columns: tuple[str, ...]
    """Columns of the table of people that are needed."""
    classes: tuple[str, ...]
    """Of two, the first is negative and the second names the feature."""
    answers: Callable[[Person], set[str]]

    def class_of(self, person: Person) -> str | None:
        """Return the one class that a person has; None where there is none, or there are several."""
        found = self.answers(person) & set(self.classes)
        return found.pop() if len(found) == 1 else None


def _occupations(person: Person) -> set[str]:
    is_athlete = person.of("occupation").intersection(ATHLETES)
    return person.of("occupation") | ({"athlete"} if is_athlete else set())


def _parties(person: Person) -> set[str]:
    return person.of("party") if "politician" in person.of("occupation") else set()


def _alive(person: Person) -> set[str]:
    years = (re.match(r"[+-]?\d+", text) for text in person.of("death_year"))  # of numbers and of ISO dates
    if any(int(year[0]) > LAST_YEAR_OF_DEATH for year in years if year):
        return set()
    return {{"true": "alive", "false": "dead"}.get(value.lower(), value) for value in person.of("is_alive")}


PROPERTIES = {
    "wikidata_sex_or_gender": Property(("gender",), ("male", "female"), lambda person: person.of("gender")),
    "wikidata_occupation": Property(
        ("occupation",), ("actor", "athlete", "journalist", "politician", "researcher", "singer"), _occupations
    ),
    "wikidata_occupation_athlete": Property(("occupation",), ATHLETES, lambda person: person.of("occupation")),
    "wikidata_political_party": Property(("party", "occupation"), ("Democratic Party", "Republican Party"), _parties),
    "wikidata_country_of_citizenship": Property(
        ("citizenship",),
        ("Australia", "Canada", "France", "Germany", "United Kingdom", "United States of America"),
        lambda person: person.of("citizenship"),
    ),
    "wikidata_is_alive": Property(("is_alive", "death_year"), ("dead", "alive"), _alive),
}
"""The property of each collection, with the classes of the paper."""
