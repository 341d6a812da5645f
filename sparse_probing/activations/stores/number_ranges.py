"""Increasing numbers as ranges, for the parts and layers in messages: 0-2, 5."""

from __future__ import annotations

from collections.abc import Iterable


def number_ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return increasing numbers as ranges that include both ends.

    Examples
    --------
    >>> number_ranges([0, 1, 2, 5, 7, 8])
    ((0, 2), (5, 5), (7, 8))
    """
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)


def show_ranges(ranges: Iterable[tuple[int, int]]) -> str:
    """Return ranges as text.

    Examples
    --------
    >>> show_ranges([(0, 2), (5, 5)])
    '0-2, 5'
    """
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
