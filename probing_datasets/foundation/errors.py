"""The tree of errors: every failure that a user can fix is one of these.

The scripts print only the message and exit with status 1. A message tells what
is wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY_NAMES = 10


def first_names(names: Iterable[object], most: int = MANY_NAMES) -> str:
    """Return the first of some names for a message, and how many others there are.

    Examples
    --------
    >>> first_names("abc", most=2)
    'a, b and 1 more'
    """
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an error of a library, or its type if it has none.

    Examples
    --------
    >>> first_line(KeyError())
    'KeyError'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def list_known(unknown: str, known: Iterable[str], most: int = MANY_NAMES) -> str:
    """Return the names that exist, for the message about one that does not.

    If there are many, those nearest to it come first, and at most ``most`` are returned.

    Examples
    --------
    >>> list_known("noun", ["verb", "nouns"])
    'verb, nouns'
    >>> list_known("noun", ["verb", "nouns"] * 6, most=1)
    'nouns and 11 more'
    """
    names = list(known)
    if len(names) > MANY_NAMES:
        similarity = {name: difflib.SequenceMatcher(None, unknown.lower(), name.lower()).ratio() for name in names}
        names.sort(key=lambda name: -similarity[name])
    return first_names(names, most)


class SparseProbingError(Exception):
    """Base of all errors that a user can fix."""


class SettingsError(SparseProbingError):
    """A flag or an environment variable has no usable value."""


class SourceError(SparseProbingError):
    """The text behind a feature data set is missing or has the wrong columns."""


class AnnotationError(SourceError):
    """A text cannot be parsed; the data set does not contain it, and a note counts and names it."""


class DatasetError(SparseProbingError):
    """A feature data set is missing, invalid, or cannot be used as requested."""


class ModelError(SparseProbingError):
    """A model, its tokenizer, a layer or a hook point does not exist or does not fit."""


class ModelMemoryError(ModelError):
    """The memory of the device is too small for the model and a batch."""


class ActivationError(SparseProbingError):
    """Activations cannot be stored: NaN, or too large for the precision."""


class StoreError(SparseProbingError):
    """An activation store is missing, incomplete, made with another plan, or cannot be written."""


class CorruptStoreError(StoreError):
    """A file of an activation store does not have the recorded checksum."""


class StoreFormatError(StoreError):
    """An activation store has the format of another version of this code."""


class SplitError(SparseProbingError):
    """A feature cannot be split into training and test rows with whole groups."""


class ProbeError(SparseProbingError, ValueError):
    """A probe cannot be fitted to the given rows; a ValueError, as scikit-learn's estimators raise."""


class ProbeFormatError(SparseProbingError):
    """A saved probe has the format of another version of this code."""


class SolverUnavailableError(ProbeError):
    """A solver is not installed, or its licence is missing or does not allow a problem of this size."""


class DamagedFileError(SparseProbingError):
    """A file that this project wrote cannot be read back."""


class CodeChangedError(SparseProbingError):
    """The code changed between the submission of tasks and their start, so that their keys are not valid any more."""


class TableError(SparseProbingError):
    """A table of ranked neurons does not exist, or has no rows of the requested kind."""


class CorruptTableError(TableError):
    """A table of ranked neurons does not have its recorded checksum."""


class TaskError(SparseProbingError):
    """Some tasks of a run failed; finished ones are kept."""
