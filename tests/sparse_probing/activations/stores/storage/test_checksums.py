"""Records of files detect every change."""

from sparse_probing.activations.stores.storage.checksums import FileRecord


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
