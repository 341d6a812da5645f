"""Small stores, and places to keep them: a folder, and a real S3 server on this machine."""

import dataclasses
import uuid

import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from upath import UPath

from sparse_probing.activations.stores import STORES
from sparse_probing.activations.stores.plan import StorePlan

HOOK = "mlp.hook_post"


@pytest.fixture(scope="session")
def s3_endpoint():
    """Address of an S3 server with an empty bucket ``bucket``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    UPath("s3://bucket", endpoint_url=endpoint, key="testing", secret="testing").fs.mkdir("bucket")
    yield endpoint
    server.stop()


@pytest.fixture
def s3_place(s3_endpoint):
    """An unused place in the bucket."""
    url = f"s3://bucket/{uuid.uuid4().hex}"
    return UPath(url, endpoint_url=s3_endpoint, key="testing", secret="testing")


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    return tmp_path / "place" if request.param == "folder" else request.getfixturevalue("s3_place")


@pytest.fixture
def small_plan():
    """Two layers of 33 neurons, ten rows in parts of four."""
    fingerprint = {"model": "pythia-70m", "dataset_hash": "abc"}
    return StorePlan(fingerprint, (0, 3), (HOOK,), {HOOK: 33}, n_rows=10, part_rows=4, precision="32")


@pytest.fixture
def values_of():
    """A function that gives the float32 activations of a layer, ``(rows, width)``: the same every time."""

    def values(plan, layer, seed=0):
        shape = (plan.n_rows, plan.widths[HOOK])
        return np.random.default_rng([seed, layer]).standard_normal(shape).astype(np.float32)

    return values


@pytest.fixture
def make_store(small_plan, values_of):
    """A function that makes a store and writes some of its parts (default all)."""

    def make(path, kind="zarr", parts=None, seed=0, **changes):
        plan = dataclasses.replace(small_plan, **changes)
        store = STORES[kind].create(path, plan, np.arange(plan.n_rows) // 3, np.arange(plan.n_rows) % 3)
        for part in range(plan.n_parts) if parts is None else parts:
            rows = slice(*plan.part_range(part))
            arrays = {layer: values_of(plan, layer, seed)[rows].astype(plan.buffer_dtype) for layer in plan.layers}
            store.write_part(part, {(HOOK, layer): array for layer, array in arrays.items()})
        return store

    return make
