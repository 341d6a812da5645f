"""Texts that end with a name: sentences from templates, or running text up to the name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from probing_datasets.collections.wikidata.names import NameFinder
from probing_datasets.sources.text_rows import TextRow

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
"""Sentences without information about the person; text after the name is not used."""

CHARACTERS_BEFORE = 4000
"""Characters of a running text that are kept before a name; more than fit into the context."""


def in_templates(
    class_of_name: Mapping[str, str], templates: Sequence[str], per_name: int, seed: int
) -> Iterator[TextRow]:
    """Yield sentences for each name, from templates drawn at random.

    The group is the name; ``extra`` holds the character at which the name starts, and the text ends with the name.
    """
    rng = np.random.default_rng(seed)
    for name, label in class_of_name.items():
        for template in rng.choice(len(templates), size=min(per_name, len(templates)), replace=False):
            before, _, _ = templates[int(template)].partition("{name}")
            yield TextRow(before + name, label, name, (len(before),))


def in_running_text(class_of_name: Mapping[str, str], texts: Iterable[TextRow], per_name: int) -> Iterator[TextRow]:
    """Yield the text up to each name in it, at most ``per_name`` of each name; rows are those of `in_templates`."""
    finder, n_of_name = NameFinder(class_of_name), Counter[str]()
    for row in texts:
        for name, start, stop in finder.find(row.text):
            n_of_name[name] += 1
            if n_of_name[name] <= per_name:
                before = row.text[max(0, start - CHARACTERS_BEFORE) : start]
                yield TextRow(before + row.text[start:stop], class_of_name[name], name, (len(before),))
