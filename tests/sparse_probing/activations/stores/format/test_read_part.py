"""Reading rows and columns of a part equals indexing of the whole."""

import numpy as np
import pytest
import torch

from sparse_probing.activations.stores import STORES
from sparse_probing.activations.stores.format.read_part import column_pieces, parts_of
from sparse_probing.activations.stores.format.shard_bytes import shard_layout
from sparse_probing.activations.stores.plan import StorePlan

HOOK = "mlp.hook_post"
PLAN = StorePlan({}, (0,), (HOOK,), {HOOK: 20}, n_rows=1500, part_rows=600, precision="8")


@pytest.fixture(params=STORES)
def quantised(request, tmp_path):
    """Parts of 600 rows in blocks of 256, 256 and 88; the last part has 300 rows."""
    values = np.random.default_rng(0).standard_normal((1500, 20)).astype(np.float32)
    store = STORES[request.param].create(tmp_path, PLAN, np.arange(1500), np.arange(1500))
    for part in range(3):
        store.write_part(part, {(HOOK, 0): values[slice(*PLAN.part_range(part))]})
    return store, values


def brute_force(values):
    """Round every column of every block to 256 steps, in float64."""
    decoded = np.empty(values.shape)
    for part in range(0, 1500, 600):
        for start in range(part, min(part + 600, 1500), 256):
            rows = slice(start, min(start + 256, part + 600))
            low, high = values[rows].min(0).astype(float), values[rows].max(0).astype(float)
            step = (high - low) / 255
            decoded[rows] = low + step * np.rint((values[rows] - low) / step)
    return decoded


def test_blocks_do_not_cross_parts(quantised):
    store, values = quantised
    expected = brute_force(values)
    assert np.allclose(store.read(0), expected, atol=1e-5)
    rows = np.r_[3:7, 255:258, 512, 590:610, 1100, 1499]
    assert np.array_equal(store.read(0, rows=rows), store.read(0)[rows])
    assert np.array_equal(store.read(0, rows=rows, columns=np.array([19, 4])), store.read(0)[rows][:, [19, 4]])
    wrong = values[:512] - values[:512].min(0)
    assert not np.allclose(wrong, expected[:512], atol=1e-5)


def test_random_rows_by_part():
    rows = np.array([0, 1, 599, 600, 1200, 1201])
    found = list(parts_of(PLAN, rows))
    assert [(part.part, part.inside.tolist()) for part in found] == [(0, [0, 1, 599]), (1, [0]), (2, [0, 1])]
    assert [part.outside for part in found] == [slice(0, 3), slice(3, 4), slice(4, 6)]
    assert [part.is_whole for part in parts_of(PLAN, np.arange(1, 1500))] == [False, True, True]
    assert list(parts_of(PLAN, rows[:0])) == []


def test_columns_by_block():
    layout = shard_layout(4, 48, np.dtype("<f2"))
    assert column_pieces(layout, np.array([47, 0, 33, 0])) == {0: [(0, 1), (0, 3)], 2: [(1, 2), (15, 0)]}
    assert column_pieces(layout, None)[1] == [(slice(None), slice(16, 32))]


@pytest.mark.parametrize("kind", STORES)
def test_result_shares_its_memory_with_the_tensor(kind, tmp_path):
    plan = StorePlan({}, (0,), (HOOK,), {HOOK: 20}, n_rows=6, part_rows=6, precision="16")
    store = STORES[kind].create(tmp_path, plan, np.arange(6), np.arange(6))
    store.write_part(0, {(HOOK, 0): np.ones((6, 20), np.float16)})
    read = store.read(0, dtype=None)
    tensor = torch.from_numpy(read)
    tensor[2, 3] = 7
    assert read[2, 3] == 7
    assert store.read(0)[2, 3] == 1
