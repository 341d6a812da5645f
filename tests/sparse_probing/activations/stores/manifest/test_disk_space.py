"""Required and free space, and temporary files that killed processes left."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores import STORES
from sparse_probing.activations.stores.manifest.disk_space import check_free_space, required_bytes
from sparse_probing.activations.stores.plan import StorePlan

PLAN = StorePlan({}, (0, 1), ("h",), {"h": 100}, 1000, 64, "16")


@pytest.mark.parametrize("name", STORES)
def test_required_bytes_suffice(tmp_path, name):
    store = STORES[name].create(tmp_path, PLAN, np.arange(1000), np.arange(1000))
    for part in store.open_parts():
        start, stop = PLAN.part_range(part)
        values = np.zeros((stop - start, 100), np.float16)
        store.write_part(part, {("h", 0): values, ("h", 1): values})
    used = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert PLAN.nbytes < used <= required_bytes(PLAN)


def test_required_bytes_of_some_parts():
    part_bytes = 64 * PLAN.bytes_per_row
    difference = required_bytes(PLAN, 5) - required_bytes(PLAN, 2)
    assert 3 * part_bytes <= difference <= 3 * part_bytes * 1.02
    assert required_bytes(PLAN) == required_bytes(PLAN, PLAN.n_parts)


def test_free_space(tmp_path, monkeypatch):
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 3_000_000_000 if path == tmp_path else 0))
    check_free_space(tmp_path / "not" / "yet", 3_000_000_000)
    with pytest.raises(StoreError, match=r"needs 3\.25 GB, but only 3\.00 GB are free.*RESULTS_DIR"):
        check_free_space(tmp_path / "not" / "yet", 3_250_000_000)
