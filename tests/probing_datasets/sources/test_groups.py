"""Groups: sequences with equal tokens are in one."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.sources.groups import join_groups_of_copies

PAIRS = st.lists(st.tuples(st.lists(st.integers(0, 1), max_size=2), st.sampled_from("abcd")), max_size=8)


@settings(max_examples=100)
@given(PAIRS)
def test_equal_tokens_are_in_one_group_and_nothing_else_is_joined(pairs):
    tokens, groups = [np.array(ids, np.int32) for ids, _ in pairs], [group for _, group in pairs]
    joined, n_copies = join_groups_of_copies(tokens, groups)

    # The classes of the smallest equivalence that has equal tokens and equal groups: by repeated joining.
    classes = [{i} for i in range(len(pairs))]
    for i, j in combinations(range(len(pairs)), 2):
        if pairs[i][0] == pairs[j][0] or groups[i] == groups[j]:
            both = classes[i] | classes[j]
            for member in both:
                classes[member] = both
    for i, j in combinations(range(len(pairs)), 2):
        assert (joined[i] == joined[j]) == (j in classes[i])
    assert (n_copies == 0) == (joined == groups)
    assert all(joined[i] == groups[min(classes[i])] for i in range(len(pairs)))
