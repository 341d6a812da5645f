"""A harvest into a store behind a URL, on a real S3 server."""

import numpy as np
import pytest

from sparse_probing.activations.harvest import harvest, prepare_harvest
from sparse_probing.activations.stores import open_store


@pytest.fixture
def remote(tiny_harvest, small_parts, s3_endpoint, s3_place, monkeypatch):
    credentials = {"ENDPOINT_URL": s3_endpoint, "ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing"}
    for name, value in credentials.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    url = f"s3://{s3_place.path}"
    return tiny_harvest.with_flags(activation_aggregation="mean", layers=(1,), activations_dir=url)


def test_a_remote_store_is_created_resumed_verified_and_replaced(remote, tmp_path):
    local = harvest(remote.with_flags(activations_dir=str(tmp_path / "local")))
    store = harvest(remote)
    assert str(store.path).startswith("s3://bucket/")
    assert store.digest == local.digest
    assert np.array_equal(open_store(remote.store_folder()).read(1), local.read(1))

    (shard,) = (store.path / "mlp.hook_post" / "layer_01").glob("c.1.0")
    shard.write_bytes(shard.read_bytes()[::-1])
    store.discard_part(2)
    assert harvest(remote).is_complete
    assert [damage.part for damage in store.verify()] == [1]
    assert harvest(remote.with_flags(resume=True)).verify() == []

    other = harvest(remote.with_flags(output_precision="32", overwrite=True))
    assert open_store(remote.store_folder()).plan.precision == "32"
    assert other.verify() == []


def test_there_is_no_limit_of_space_to_check(remote):
    summary = prepare_harvest(remote).summary()
    assert "GB needed, in s3://bucket/" in summary
    assert "free" not in summary
