"""The plan of a store: sizes, parts, JSON, and differences between plans."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing_datasets.foundation.errors import StoreError
from sparse_probing.activations.stores.plan import MAX_PARTS, StorePlan, choose_part_rows, plan_differences

PLAN = StorePlan(
    fingerprint={"model": {"name": "pythia-70m", "revision": "main"}, "seed": 0},
    layers=(0, 3),
    hook_points=("mlp.hook_post", "hook_resid_post"),
    widths={"mlp.hook_post": 20, "hook_resid_post": 5},
    n_rows=10,
    part_rows=4,
    precision="bf16",
)


def test_parts_and_bytes():
    assert PLAN.n_parts == 3
    assert [PLAN.part_range(part) for part in range(3)] == [(0, 4), (4, 8), (8, 10)]
    assert PLAN.bytes_per_row == (20 + 5) * 2 * 2
    assert PLAN.nbytes == 10 * 100
    assert PLAN.stored_dtype == np.uint16
    assert dataclasses.replace(PLAN, precision="32").nbytes == 2 * PLAN.nbytes


def test_bytes_of_each_precision():
    dtypes = {"8": ("u1", "f4"), "16": ("f2", "f2"), "32": ("f4", "f4"), "bf16": ("u2", "u2")}
    for precision, (stored, buffer) in dtypes.items():
        plan = dataclasses.replace(PLAN, precision=precision)
        assert (plan.stored_dtype, plan.buffer_dtype) == (np.dtype(stored), np.dtype(buffer))
        assert plan.is_quantised == (precision == "8")


@pytest.mark.parametrize(
    ("n_rows", "part_rows", "block_rows", "per_part", "n_blocks", "row"),
    [
        (10, 4, 4, 1, 3, 50 + 100),
        (4097, 4096, 256, 16, 17, 50 + 2),
        (1500, 600, 256, 3, 8, 50 + 2),
        (600, 600, 256, 3, 3, 50 + 2),
        (5000, 1, 1, 1, 5000, 50 + 400),
    ],
)
def test_blocks_of_quantised_rows(n_rows, part_rows, block_rows, per_part, n_blocks, row):
    plan = dataclasses.replace(PLAN, n_rows=n_rows, part_rows=part_rows, precision="8")
    assert (plan.block_rows, plan.blocks_per_part, plan.n_blocks) == (block_rows, per_part, n_blocks)
    assert plan.bytes_per_row == row


def test_part_out_of_range():
    with pytest.raises(StoreError, match="no part 3: the plan has parts 0 to 2"):
        PLAN.part_range(3)


def test_plan_without_rows():
    with pytest.raises(StoreError, match="at least one row"):
        dataclasses.replace(PLAN, n_rows=0)


def test_json_round_trip():
    text = json.dumps(PLAN.to_json())
    assert StorePlan.from_json(json.loads(text)) == PLAN


def test_other_format_version():
    with pytest.raises(StoreError, match="format version 99"):
        StorePlan.from_json({**PLAN.to_json(), "format_version": 99})


@given(n_rows=st.integers(1, MAX_PARTS), part_rows=st.integers(1, 5000))
def test_parts_cover_every_row_once(n_rows, part_rows):
    plan = dataclasses.replace(PLAN, n_rows=n_rows, part_rows=part_rows)
    first, last = plan.part_range(0), plan.part_range(plan.n_parts - 1)
    assert first[0] == 0
    assert last[1] == n_rows
    assert last[0] == (plan.n_parts - 1) * part_rows < n_rows


@pytest.mark.parametrize(
    ("n_rows", "bytes_per_row", "expected"),
    [
        (10**6, 2**15, 4096),
        (10**6, 2**15 + 1, 2048),
        (10**6, 1, 4096),
        (10**6, 2**40, 64),
        (100, 1, 100),
        (10, 2**40, 10),
        (4097, 1, 4096),
    ],
)
def test_choose_part_rows(n_rows, bytes_per_row, expected):
    assert choose_part_rows(n_rows, bytes_per_row) == expected


@given(n_rows=st.integers(5000, 10**7), bytes_per_row=st.integers(1, 2**24), target=st.integers(1, 2**30))
def test_part_is_the_largest_that_fits(n_rows, bytes_per_row, target):
    rows = choose_part_rows(n_rows, bytes_per_row, target)
    assert rows in {64, 128, 256, 512, 1024, 2048, 4096}
    assert rows == 64 or rows * bytes_per_row <= target
    assert rows == 4096 or 2 * rows * bytes_per_row > target


def test_differences_name_the_keys():
    other = dataclasses.replace(
        PLAN, layers=(0, 4), fingerprint={"model": {"name": "gpt2", "revision": "main"}, "tokens": "x" * 99}
    )
    assert plan_differences(PLAN, PLAN) == []
    assert plan_differences(PLAN, other) == [
        'fingerprint.model.name: "pythia-70m" -> "gpt2"',
        "fingerprint.seed: 0 -> (absent)",
        "layers: [0, 3] -> [0, 4]",
        f'fingerprint.tokens: (absent) -> "{"x" * 38}…',
    ]


def test_tuples_in_a_fingerprint_equal_lists():
    with_tuple = dataclasses.replace(PLAN, fingerprint={"span": (1, 2)})
    with_list = dataclasses.replace(PLAN, fingerprint={"span": [1, 2]})
    assert plan_differences(with_tuple, with_list) == []
