"""Places of stores: folders and URLs."""

import pytest
from upath import UPath

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.storage.files import read_file
from sparse_probing.activations.stores.storage.locations import is_local, local_path, parse_place


def test_places(tmp_path):
    assert parse_place(f"{tmp_path}") == parse_place(f"file://{tmp_path}") == tmp_path
    assert type(parse_place("relative/folder")) is type(tmp_path)
    assert is_local(tmp_path)
    assert is_local(UPath(f"file://{tmp_path}"))
    assert not is_local(parse_place("s3://bucket/store"))
    assert local_path(UPath(f"file://{tmp_path}")) == tmp_path
    assert local_path(parse_place("s3://bucket/store")) is None


@pytest.mark.parametrize("text", ["foo://x", "s3:/x"])
def test_what_is_not_a_place_is_refused(text):
    with pytest.raises(StoreError, match=f"'{text}' is neither a folder nor a URL that can be opened"):
        parse_place(text)


def test_a_file_system_that_is_not_installed():
    place = UPath("gs://bucket/x")
    if place.protocol not in ("gs", "gcs"):
        pytest.skip("no such protocol here")
    with pytest.raises(StoreError, match=r"gs://bucket/x cannot be .*"):
        read_file(place)
