"""Records of files and sealed JSON detect every change."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_probing.activations.stores.storage.checksums import FileRecord, seal, unseal

JSON = st.dictionaries(
    st.text(), st.recursive(st.integers() | st.text() | st.none() | st.booleans(), st.lists, max_leaves=5)
)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_seal_round_trip(content):
    assert unseal(seal(content)) == content


@settings(max_examples=50, deadline=None)
@given(JSON, st.data())
def test_any_changed_byte_breaks_the_seal(content, data):
    sealed = bytearray(seal(content))
    offset = data.draw(st.integers(0, len(sealed) - 1))
    sealed[offset] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):  # noqa: PT011 (json and unicode errors have their own messages)
        unseal(bytes(sealed))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"content": 1, "digest": ""}'])
def test_a_file_without_a_seal(data):
    with pytest.raises(ValueError, match="sealed|Expecting"):
        unseal(data)


def test_reformatted_json_is_an_edit():
    sealed = seal({"a": 1})
    with pytest.raises(ValueError, match="digest"):
        unseal(json.dumps(json.loads(sealed)).encode())


def test_damage(tmp_path):
    path = tmp_path / "file"
    record = FileRecord.of(b"12345")
    assert record.damage(path) == "missing"
    path.write_bytes(b"1234")
    assert record.damage(path) == "wrong size"
    path.write_bytes(b"12346")
    assert record.damage(path) == "checksum differs"
    path.write_bytes(b"12345")
    assert record.damage(path) is None
