"""Sealed files: every changed byte, and a file of any other kind, is refused at once."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from probing_datasets.foundation.errors import DamagedFileError
from probing_datasets.foundation.files.sealed_json import read_sealed, seal, shaped, unseal, write_sealed


@dataclass(frozen=True)
class Order:
    name: str
    kind: Literal["a", "b"]
    layers: tuple[Annotated[int, Meta(ge=0)], ...]
    note: str | None = None


ORDER = Order("first", "b", (0, 3), "x")


@pytest.fixture
def order(tmp_path):
    write_sealed(tmp_path / "order.json", ORDER)
    return tmp_path / "order.json"


def test_what_was_written_is_read(order):
    assert read_sealed(order, Order) == ORDER


@given(value=st.dictionaries(st.text(), st.recursive(st.integers() | st.text() | st.none(), st.lists, max_leaves=5)))
def test_seal_and_unseal_are_inverse(value):
    assert unseal(seal(value)) == value


def test_every_changed_bit_is_refused(order):
    data = order.read_bytes()
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(ValueError):  # noqa: PT011 (of JSON, of UTF-8 or of the seal)
                unseal(bytes(changed))


def test_reformatted_json_is_an_edit(order):
    with pytest.raises(ValueError, match="digest"):
        unseal(json.dumps(json.loads(order.read_bytes())).encode())


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b"[]", b"7", b'{"content": null, "digest": "x"}', b"\xff"])
def test_what_is_not_sealed(order, content):
    order.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"order\.json is damaged .*Restore it"):
        read_sealed(order, Order)


def test_nesting_without_bound(order):
    order.write_bytes(b'{"content": {"a": ' + b"[" * 200_000 + b"]" * 200_000 + b'}, "digest": ""}')
    with pytest.raises(DamagedFileError, match="nested too deeply"):
        read_sealed(order, Order)


@pytest.mark.parametrize(
    "change",
    [{"kind": "c"}, {"layers": [0, -1]}, {"layers": ["0"]}, {"name": None}, {"layers": {"0": 1}}, {"note": 3}],
)
def test_a_sealed_file_of_another_shape(order, change):
    content = json.loads(order.read_bytes())["content"]
    write_sealed(order, content | change)
    with pytest.raises(DamagedFileError, match=f"damaged.*{next(iter(change))}"):
        read_sealed(order, Order)


def test_a_missing_field(order):
    write_sealed(order, {"name": "first"})
    with pytest.raises(DamagedFileError, match="missing required field `kind`"):
        read_sealed(order, Order)


def test_numbers_without_bound():
    with pytest.raises(ValueError, match=r"int|Expected"):
        shaped({"name": "a", "kind": "a", "layers": [10**400, -(10**30)]}, Order)


def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    n_open = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "link", "folder"):
        with pytest.raises(DamagedFileError, match=rf"{name} is damaged \(not a regular file\)"):
            read_sealed(tmp_path / name, Order)
    assert len(os.listdir("/proc/self/fd")) == n_open


def test_a_file_that_is_too_large(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(DamagedFileError, match="at most"):
        read_sealed(tmp_path / "sparse", Order)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_sealed(Path(tmp_path / "none"), Order)
