"""The description of a store, as numbers, as text and as JSON."""

import dataclasses
import json

import pytest

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.store_operations.describe import describe
from sparse_probing.activations.stores import STORES


@pytest.mark.parametrize("kind", STORES)
def test_a_store_in_numbers(place, make_store, kind, tmp_path):
    make_store(place, kind, parts=[1])
    local = make_store(tmp_path / "local", kind, parts=[1])
    files = [path for path in local.path.rglob("*") if path.is_file()]
    description = describe(place)
    assert (description.kind, description.precision, description.layers) == (kind, "32", (0, 3))
    assert (description.n_rows, description.n_parts, description.n_finished) == (10, 3, 1)
    assert description.missing == ((0, 0), (2, 2))
    assert not description.is_complete
    assert description.n_files == len(files)
    assert description.nbytes == sum(path.stat().st_size for path in files)


def test_as_text_and_as_json(tmp_path, make_store):
    make_store(tmp_path, fingerprint={"model": "gpt2", "revision": None, "weight_hash": "f00"})
    description = describe(tmp_path)
    lines = dict(line.split(maxsplit=1) for line in str(description).splitlines() if not line.startswith("missing"))
    assert lines["store"] == f"{tmp_path} (zarr)"
    assert (lines["model"], lines["revision"], lines["weight_hash"]) == ("gpt2", "-", "f00")
    assert lines["layers"] == "2 (0, 3)"
    assert lines["parts"] == "3 of 3"
    assert "missing parts  none" in str(description)
    fields = json.loads(description.to_json())
    assert fields == json.loads(json.dumps(dataclasses.asdict(description)))
    assert fields["missing"] == []


def test_absent_store(tmp_path, s3_place):
    for place in (tmp_path / "nothing", s3_place / "nothing"):
        with pytest.raises(StoreError, match=rf"no activation store at {place}"):
            describe(place)
