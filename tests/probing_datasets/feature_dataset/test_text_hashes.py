"""Hashes of texts: equal for equal tokens, whatever type holds them."""

import numpy as np

from probing_datasets.feature_dataset.text_hashes import token_hash


def test_equal_tokens_have_one_hash_and_others_another():
    assert (
        token_hash([1, 2, 3])
        == token_hash(np.array([1, 2, 3], np.int64))
        == token_hash(np.arange(1, 4, dtype=np.int32))
    )
    assert len({token_hash(ids) for ids in ([1, 2, 3], [1, 2], [3, 2, 1], [])}) == 4
