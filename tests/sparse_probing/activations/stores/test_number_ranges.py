"""Increasing numbers as ranges, and ranges as text."""

from hypothesis import given
from hypothesis import strategies as st

from sparse_probing.activations.stores.number_ranges import number_ranges, show_ranges


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_the_numbers(numbers):
    ranges = number_ranges(sorted(numbers))
    assert {number for first, last in ranges for number in range(first, last + 1)} == numbers
    assert all(stop + 1 < start for (_, stop), (start, _) in zip(ranges, ranges[1:], strict=False))


def test_ranges_as_text():
    assert show_ranges(number_ranges([0, 1, 2, 5, 7, 8])) == "0-2, 5, 7-8"
    assert show_ranges([]) == ""
