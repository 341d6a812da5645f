"""Checkpoints: written and read again, merged, damaged, or of another plan."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.checkpoints import Share, counted_blocks
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics

BINS = Bins.between(3, [0.0, -1.0], [1.0, 1.0])


@pytest.fixture
def share():
    return Share(4, {layer: LayerStatistics.empty(5, BINS, 2, 1) for layer in (0, 10, 2)})


def test_a_share_comes_back_whole(share, tmp_path):
    share.layers[10].all_tokens.mean += torch.tensor(1 / 3, dtype=torch.float64)
    share.save(tmp_path / "new" / "share", "digest")
    again = Share.load(tmp_path / "new" / "share", "digest")
    assert again.n_counted == counted_blocks(tmp_path / "new" / "share", "digest") == 4
    assert list(again.layers) == [0, 2, 10]
    for layer, statistics in share.layers.items():
        for name, tensor in statistics.tensors().items():
            assert torch.equal(tensor, again.layers[layer].tensors()[name])


def test_another_plan_is_refused(share, tmp_path):
    share.save(tmp_path / "share", "digest")
    with pytest.raises(StoreError, match=r"share belongs to another plan or another process.*delete it"):
        Share.load(tmp_path / "share", "other")


def test_a_damaged_file_is_refused(share, tmp_path):
    share.save(tmp_path / "share", "digest")
    (tmp_path / "share").write_bytes((tmp_path / "share").read_bytes()[:-8])
    with pytest.raises(StoreError, match=r"share is damaged .* Delete it"):
        counted_blocks(tmp_path / "share", "digest")


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_changes_what_is_read(share, tmp_path, data):
    path = tmp_path / "share"
    share.save(path, "digest")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    path.write_bytes(damaged)
    try:
        again = Share.load(path, "digest")
    except CorruptStoreError:
        return
    assert again.n_counted == 4  # a bit that says nothing, such as one of the padding
    for layer, statistics in share.layers.items():
        for name, tensor in statistics.tensors().items():
            assert torch.equal(tensor, again.layers[layer].tensors()[name])


def test_a_missing_file_is_not_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError):
        Share.load(tmp_path / "share", "digest")
