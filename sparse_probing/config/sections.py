"""Settings in sections: a configuration whose fields are dataclasses, with one flat list of flags."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self, get_type_hints

from probing_datasets.foundation.errors import SettingsError


@dataclass(frozen=True)
class Configuration:
    """Base of the two configurations: settings outside sections, and sections that are dataclasses of settings.

    No two settings share a name: it is the flag on the command line, the key in the records of stores and runs,
    and the keyword in Python.
    """

    @classmethod
    def from_flags(cls, **flags: Any) -> Self:
        """Return the configuration with these settings, and the defaults of all others.

        Raises
        ------
        SettingsError
            When there is no setting of a name, or a value is outside its range.

        Examples
        --------
        >>> from sparse_probing.config import ProbingConfig
        >>> ProbingConfig.from_flags(max_k=50).search.max_k
        50
        """
        known = section_of(cls)
        for name in flags:
            if name not in known:
                names = ", ".join(nearest_first(name, known))
                raise SettingsError(f"There is no setting {name!r}. Settings, the most similar first: {names}.")
        arguments: dict[str, Any] = {name: value for name, value in flags.items() if known[name] is None}
        for section, kind in sections(cls).items():
            arguments[section] = kind(**{name: value for name, value in flags.items() if known[name] == section})
        return cls(**arguments)

    def with_flags(self, **flags: Any) -> Self:
        """Return the configuration with some settings changed."""
        return type(self).from_flags(**(self.flags() | flags))

    def flags(self) -> dict[str, Any]:
        """Return every setting by the name of its flag."""
        return {
            name: getattr(self if section is None else getattr(self, section), name)
            for name, section in section_of(type(self)).items()
        }

    def record(self) -> dict[str, Any]:
        """Return every setting by the name of its flag, as JSON values."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in self.flags().items()}

    def record_with_full_paths(self) -> dict[str, Any]:
        """Return `record` with absolute paths, so that it means the same in any working directory."""
        absolute = {name: value.absolute() for name, value in self.flags().items() if name in FOLDERS}
        return self.with_flags(**absolute).record()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Return the configuration that `record` wrote."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
        }
        return cls.from_flags(**values | {name: Path(values[name]) for name in FOLDERS})


FOLDERS = ("results_dir", "feature_dataset_dir")
"""Settings that are folders of this machine: they never decide a result."""


@cache
def sections(configuration: type[Configuration]) -> dict[str, type]:
    """Return the dataclass of each section."""
    hints = get_type_hints(configuration)
    return {field.name: hints[field.name] for field in fields(configuration) if is_dataclass(hints[field.name])}


@cache
def section_of(configuration: type[Configuration]) -> dict[str, str | None]:
    """Return the section of every setting, in the order of the command line; None for settings outside sections."""
    kinds = sections(configuration)
    section_by_name: dict[str, str | None] = {}
    for field in fields(configuration):
        if field.name in kinds:
            section_by_name |= {setting.name: field.name for setting in fields(kinds[field.name])}
        else:
            section_by_name[field.name] = None
    return section_by_name


def setting(configuration: type[Configuration], name: str) -> Field[Any]:
    """Return the declaration of a setting: its type, default and metadata."""
    section = section_of(configuration)[name]
    owner = configuration if section is None else sections(configuration)[section]
    return next(field for field in fields(owner) if field.name == name)


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names, those that are spelt most like ``name`` first."""
    return sorted(known, key=lambda other: (-difflib.SequenceMatcher(None, name, other).ratio(), other))


def at_least_one(section: object, *names: str) -> None:
    """Raise SettingsError that names the first of the settings that is below 1."""
    for name in names:
        if getattr(section, name) < 1:
            raise SettingsError(f"--{name} must be at least 1, not {getattr(section, name)}.")
