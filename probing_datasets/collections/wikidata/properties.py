"""The class of a person for each property: the rules of Gurnee et al. 2023 (appendix on Wikidata)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from probing_datasets.collections.wikidata.people import Person

LAST_YEAR_OF_DEATH = 1980
"""``wikidata_is_alive`` has no one who died later: many texts about them were written during their lives."""

ATHLETES = (
    "American football player",
    "association football player",
    "baseball player",
    "basketball player",
    "ice hockey player",
)


@dataclass(frozen=True)
class Property:
    """A property of people, its classes, and the function that finds the classes of a person."""

    columns: tuple[str, ...]
    """Columns of the table of people that are needed."""
    classes: tuple[str, ...]
    """Of two classes, the first is negative and the second names the feature."""
    find_classes: Callable[[Person], set[str]]
    """Every class that the values of a person name; values that are not classes may be among them."""

    def class_of(self, person: Person) -> str | None:
        """Return the one class that a person has; None if there is no class, or more than one."""
        classes = self.find_classes(person) & set(self.classes)
        return classes.pop() if len(classes) == 1 else None


def occupations_of(person: Person) -> set[str]:
    """Return the occupations of a person; ``athlete`` is one of them for an athlete of any sport."""
    is_athlete = person.of("occupation").intersection(ATHLETES)
    return person.of("occupation") | ({"athlete"} if is_athlete else set())


def parties_of(person: Person) -> set[str]:
    """Return the parties of a person, if that is a politician."""
    return person.of("party") if "politician" in person.of("occupation") else set()


def life_status_of(person: Person) -> set[str]:
    """Return ``alive`` or ``dead``, or nothing if the person died after `LAST_YEAR_OF_DEATH`."""
    years = (re.match(r"[+-]?\d+", text) for text in person.of("death_year"))  # of numbers and of ISO dates
    if any(int(year[0]) > LAST_YEAR_OF_DEATH for year in years if year):
        return set()
    return {{"true": "alive", "false": "dead"}.get(value.lower(), value) for value in person.of("is_alive")}


PROPERTIES = {
    "wikidata_sex_or_gender": Property(("gender",), ("male", "female"), lambda person: person.of("gender")),
    "wikidata_occupation": Property(
        ("occupation",), ("actor", "athlete", "journalist", "politician", "researcher", "singer"), occupations_of
    ),
    "wikidata_occupation_athlete": Property(("occupation",), ATHLETES, lambda person: person.of("occupation")),
    "wikidata_political_party": Property(("party", "occupation"), ("Democratic Party", "Republican Party"), parties_of),
    "wikidata_country_of_citizenship": Property(
        ("citizenship",),
        ("Australia", "Canada", "France", "Germany", "United Kingdom", "United States of America"),
        lambda person: person.of("citizenship"),
    ),
    "wikidata_is_alive": Property(("is_alive", "death_year"), ("dead", "alive"), life_status_of),
}
"""The property of each collection, with the classes of the paper."""
