"""Bounds of settings that are numbers, the same on every command line and in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probing_datasets.foundation.errors import SettingsError

LARGEST = 2**31 - 1
"""Larger numbers are typing errors, and libraries below refuse them with messages that name no setting."""


def check_whole_numbers(settings: Mapping[str, Any]) -> None:
    """Refuse whole numbers that no setting can mean.

    Parameters
    ----------
    settings : mapping
        Values by the name of the flag, also tuples of numbers.

    Raises
    ------
    SettingsError
        When a whole number is above `LARGEST` or below its negative.

    Examples
    --------
    >>> check_whole_numbers({"seed": 10**12})
    Traceback (most recent call last):
    ...
    probing_datasets.foundation.errors.SettingsError: --seed 1000000000000 is too large: at most 2147483647.
    """
    for name, value in settings.items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and abs(number) > LARGEST:
                bound = f"large: at most {LARGEST}" if number > 0 else f"small: at least {-LARGEST}"
                raise SettingsError(f"--{name} {number} is too {bound}.")
