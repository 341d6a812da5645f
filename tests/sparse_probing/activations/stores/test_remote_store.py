"""A store behind a URL, on a real S3 server."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.storage.files import file_sizes, read_file, read_files, remove_file, write_file

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(params=STORES)
def remote(request, s3_place, make_store):
    return make_store(s3_place, request.param)


def flip(path, offset=-9):
    data = bytearray(read_file(path))
    data[offset] ^= 1
    write_file(path, bytes(data))


def test_layers_spans_and_columns(remote, values_of):
    store = open_store(remote.path)
    for layer in remote.plan.layers:
        whole = values_of(remote.plan, layer)
        assert np.array_equal(store.read(layer), whole)
        columns = np.array([32, 0, 7])
        assert np.array_equal(store.read(layer, columns=columns), whole[:, columns])
        assert np.array_equal(store.read(layer, rows=slice(3, 9), columns=columns), whole[3:9, columns])
    assert store.rows[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_the_files_are_those_of_a_local_store(remote, make_store, tmp_path):
    local = make_store(tmp_path / "store", remote.kind)
    assert local.digest == remote.digest
    names = sorted(file_sizes(local.path))
    assert sorted(file_sizes(remote.path)) == names
    assert read_files([remote.path / name for name in names]) == [read_file(local.path / name) for name in names]


def test_a_lost_part_is_written_again(remote, make_store, values_of):
    digest = remote.digest
    remote.discard_part(1)
    with pytest.raises(StoreError, match="unfinished: 1 of 3 parts"):
        open_store(remote.path).read(0)
    assert open_store(remote.path).open_parts() == [1]
    resumed = make_store(remote.path, remote.kind, parts=[1])
    assert resumed.digest == digest
    assert np.array_equal(resumed.read(3), values_of(remote.plan, 3))


def test_another_plan_is_refused(remote, make_store):
    with pytest.raises(StoreError, match=r"Another store exists at s3://bucket/.*n_rows: 10 -> 11"):
        make_store(remote.path, remote.kind, n_rows=11)


def test_damage_is_named(remote):
    assert remote.verify() == []
    (name, (hook_point, layer)), *_ = remote._part_files(2).items()
    flip(remote.path / name)
    (damage,) = remote.verify()
    assert (damage.hook_point, damage.layer, damage.part) == (hook_point, layer, 2)
    assert (damage.path, damage.reason) == (remote.path / name, "checksum differs")
    assert remote.damaged_sizes() == []
    remove_file(remote.path / name)
    assert [(damage.part, damage.reason) for damage in remote.damaged_sizes()] == [(2, "missing")]
    assert remote.damaged_sizes([0, 1]) == []


def test_an_unreachable_server_is_not_reported_as_damage(remote):
    config = {"retries": {"max_attempts": 0}, "connect_timeout": 1}
    away = UPath(
        str(remote.path), endpoint_url="http://127.0.0.1:9", key="testing", secret="testing", config_kwargs=config
    )
    with pytest.raises(StoreError, match="cannot be read or written"):
        open_store(away)
    remote.path = away
    for look in (remote.verify, remote.damaged_sizes, lambda: remote.read(0)):
        with pytest.raises(StoreError, match="cannot be read or written"):
            look()


def test_another_process_reads_it_through_the_environment(make_store, s3_place, values_of, s3_endpoint, monkeypatch):
    """The command line has the URL alone; botocore finds address and credentials itself."""
    variables = {"ENDPOINT_URL": s3_endpoint, "ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    remote = make_store(s3_place)
    script = """
import sys
from sparse_probing.activations.stores import open_store
from sparse_probing.activations.stores.storage.locations import parse_place
sys.stdout.write(open_store(parse_place(sys.argv[1])).read(0).tobytes().hex())
"""
    command = [sys.executable, "-c", script, str(remote.path)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == values_of(remote.plan, 0).tobytes().hex()
    verify = [sys.executable, "get_activations.py", "verify", str(remote.path)]
    ran = subprocess.run(verify, cwd=REPOSITORY, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "3 of 3 parts are there and intact" in ran.stdout


def test_a_killed_writer_leaves_whole_files(make_store, s3_place, s3_endpoint):
    """Kill -9 while parts are uploaded one after the other; what is recorded is intact, and the rest is written."""
    script = """
import sys, numpy as np
from upath import UPath
from sparse_probing.activations.stores import open_store
store = open_store(UPath(sys.argv[1], endpoint_url=sys.argv[2], key="testing", secret="testing"))
while True:
    for part in store.open_parts():
        start, stop = store.plan.part_range(part)
        values = np.full((stop - start, 33), part, np.float32)
        store.write_part(part, {("mlp.hook_post", layer): values for layer in store.plan.layers})
        sys.stdout.write(f"{part}\\n")
        sys.stdout.flush()
"""
    make_store(s3_place, parts=[], n_rows=60)
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(s3_place), s3_endpoint], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    finished = [int(writer.stdout.readline()) for _ in range(3)]
    writer.kill()
    writer.wait()
    left = open_store(s3_place)
    assert left.verify() == []
    assert not set(finished) & set(left.open_parts())
    assert left.open_parts()
    make_store(s3_place, parts=left.open_parts(), n_rows=60)
    assert open_store(s3_place).is_complete
    assert open_store(s3_place).verify() == []
