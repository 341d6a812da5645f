"""Fixtures of stage 1: small parts and stores, a real S3 server on this machine, models that are loaded once."""

import uuid

import pytest
from moto.server import ThreadedMotoServer
from upath import UPath

from probing_datasets.feature_dataset import load_feature_dataset
from sparse_probing.activations import inputs
from sparse_probing.activations.harvesting import prepare
from tests.builders.harvests import PART_ROWS, load_model_once, mlp_activations
from tests.builders.stores import SMALL_PLAN, layer_values, write_store


@pytest.fixture
def models_loaded_once(monkeypatch):
    """Load each model once for all tests."""
    monkeypatch.setattr(inputs, "load_model", load_model_once)


@pytest.fixture
def small_parts(models_loaded_once, monkeypatch):
    """Cut every store into parts of 100 rows, and load each model once for all tests."""
    monkeypatch.setattr(prepare, "choose_part_rows", lambda n_rows, row_bytes: min(n_rows, PART_ROWS))


@pytest.fixture(scope="session")
def reference(tiny_model_dir, tiny_dataset_root):
    """By layer and sequence (length, 48) float32: plain hooks on the model, one sequence at a time, no padding."""
    return mlp_activations(tiny_model_dir, load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root))


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
    return SMALL_PLAN


@pytest.fixture
def values_of():
    """The function that returns the activations of a layer of a small store."""
    return layer_values


@pytest.fixture
def make_store():
    """The function that creates a small store and writes some of its parts."""
    return write_store
