"""Digests of JSON values and checksums of chunks."""

import hashlib

import numpy as np
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.foundation.hashing import checksum, digest_json


def test_digest_of_json_is_canonical_and_frozen():
    assert digest_json({"b": 1, "a": [1, None]}) == digest_json({"a": [1, None], "b": 1})
    assert digest_json({"b": 1, "a": [1, None]}) == hashlib.sha256(b'{"a":[1,null],"b":1}').hexdigest()
    assert digest_json([1, 2]) != digest_json([2, 1])


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_checksum_does_not_depend_on_the_chunks(chunks):
    assert checksum(chunks) == xxhash.xxh3_128(b"".join(chunks)).hexdigest()


def test_checksum_of_arrays():
    array = np.arange(6, dtype=np.int32)
    assert checksum([array.data.cast("B")]) == checksum([array.tobytes()])
    assert checksum([b"a"]) != checksum([b"b"])
