"""The tree of errors: every failure that a user can mend is one of these.

The scripts print the message alone and exit with status 1. A message says what
was wrong, where, and what to do.
"""

from __future__ import annotations


class SparseProbingError(Exception):
    """Base of all errors that a user can mend."""


class SettingsError(SparseProbingError):
    """A flag or an environment variable has no usable value."""


class SourceError(SparseProbingError):
    """The text behind a feature data set is missing or has the wrong columns."""


class AnnotationError(SourceError):
    """One text cannot be parsed; it is left out of the data set, counted and named."""


class DatasetError(SparseProbingError):
    """A feature data set is missing, invalid, or cannot be used as asked."""


class ModelError(SparseProbingError):
    """A model, its tokenizer, a layer or a hook point does not exist or does not fit."""


class ModelMemoryError(ModelError):
    """A batch does not fit into the memory of the device beside the model."""


class ActivationError(SparseProbingError):
    """Activations cannot be stored: NaN, or too large for the precision."""


class StoreError(SparseProbingError):
    """An activation store is missing, incomplete, of another plan, or cannot be written."""


class CorruptStoreError(StoreError):
    """A file of an activation store does not have the recorded checksum."""


class StoreFormatError(StoreError):
    """An activation store has the format of another version of this code."""


class SplitError(SparseProbingError):
    """A feature cannot be split into training and test rows with whole groups."""


class ProbeError(SparseProbingError, ValueError):
    """A probe cannot be fitted to the given rows; a ValueError, as scikit-learn's estimators raise."""


class SolverUnavailableError(ProbeError):
    """A solver is not installed, or its licence is missing or does not take the problem."""


class TableError(SparseProbingError):
    """A table of ranked neurons does not exist, or has no rows of the requested kind."""


class CorruptTableError(TableError):
    """A table of ranked neurons does not have its recorded checksum."""


class TaskError(SparseProbingError):
    """Some tasks of a run failed; finished ones are kept."""
