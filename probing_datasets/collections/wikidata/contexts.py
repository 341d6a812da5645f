"""Texts that end with a name: sentences made for it, or running text in which it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from probing_datasets.building.sources import TextRow
from probing_datasets.collections.wikidata.names import NameFinder

TEMPLATES = (
    "{name}",
    "Have you ever heard of {name}",
    "There was a short note about {name}",
    "This page is about {name}",
    "We were asked what we know of {name}",
    "On the list was also the name of {name}",
    "The next chapter tells the life of {name}",
    "A letter arrived that was addressed to {name}",
)
"""Sentences that say nothing of the person; what would follow the name is left out."""

CHARACTERS_BEFORE = 4000
"""How much of a running text before a name is kept; more than the context takes."""


def in_templates(
    class_of_name: Mapping[str, str], templates: Sequence[str], per_name: int, seed: int
) -> Iterator[TextRow]:
    """Yield sentences for each name, from templates drawn at random; see `TextRow` for what is in a row.

    The group is the name; ``extra`` holds the character at which the name, which ends the text, starts.
    """
    rng = np.random.default_rng(seed)
    for name, label in class_of_name.items():
        for chosen in rng.choice(len(templates), size=min(per_name, len(templates)), replace=False):
            before, _, _ = templates[int(chosen)].partition("{name}")
            yield TextRow(before + name, label, name, (len(before),))


def in_running_text(class_of_name: Mapping[str, str], texts: Iterable[TextRow], per_name: int) -> Iterator[TextRow]:
    """Yield the texts up to each name that is found in them, as `in_templates` does, at most so many of each name."""
    finder, n_of_name = NameFinder(class_of_name), Counter[str]()
    for row in texts:
        for name, start, stop in finder.find(row.text):
            n_of_name[name] += 1
            if n_of_name[name] <= per_name:
                before = row.text[max(0, start - CHARACTERS_BEFORE) : start]
                yield TextRow(before + row.text[start:stop], class_of_name[name], name, (len(before),))
