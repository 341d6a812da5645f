"""Settings in sections: a configuration whose fields are dataclasses, with one flat list of flags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from probing_datasets.foundation.errors import SettingsError, list_known


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
            When there is no setting of a name, or a value is of the wrong type, not among the choices, or outside its
            range.

        Examples
        --------
        >>> from sparse_probing.config import ProbingConfig
        >>> ProbingConfig.from_flags(max_k=50).search.max_k
        50
        """
        known = section_of(cls)
        for name in flags:
            if name not in known:
                raise SettingsError(
                    f"There is no setting {name!r}. Settings with similar names: {list_known(name, known, most=5)}."
                )
        hints = setting_types(cls)
        flags = {name: checked_value(name, value, hints[name]) for name, value in flags.items()}
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


@cache
def setting_types(configuration: type[Configuration]) -> dict[str, Any]:
    """Return the type of every setting."""
    types: dict[str, Any] = {}
    kinds = sections(configuration)
    for name, hint in get_type_hints(configuration).items():
        types |= get_type_hints(kinds[name]) if name in kinds else {name: hint}
    return types


def checked_value(name: str, value: Any, hint: Any) -> Any:
    """Return the value of a setting as its type: lists become tuples, texts paths, whole numbers real ones.

    Raises
    ------
    SettingsError
        When the value is not of the type, or not one of the choices.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in arguments:
            return value
        raise SettingsError(f"--{name} cannot be {value!r}. Choose from {list_known(str(value), map(str, arguments))}.")
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise SettingsError(f"--{name} takes several values, as a tuple or a list; got {value!r}.")
        return tuple(checked_value(name, element, arguments[0]) for element in value)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return checked_value(name, value, hint)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    raise SettingsError(f"--{name} takes a value of type {hint.__name__}; got {value!r}.")


def at_least_one(section: object, *names: str) -> None:
    """Raise SettingsError that names the first of the settings that is below 1."""
    for name in names:
        if getattr(section, name) < 1:
            raise SettingsError(f"--{name} must be at least 1, not {getattr(section, name)}.")
