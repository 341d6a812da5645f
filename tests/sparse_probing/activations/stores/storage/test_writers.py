"""Claims: who may write at the same time, what a killed process leaves, and links that lead out of a folder."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from probing_datasets.foundation.errors import CorruptStoreError, StoreError
from probing_datasets.foundation.files.atomic_files import temporary_sibling
from sparse_probing.activations.stores.storage import writers
from sparse_probing.activations.stores.storage.writers import WRITERS, Claim, claim_writing

SCRIPT = """
import sys, time
from pathlib import Path
from sparse_probing.activations.stores.storage.writers import claim_writing
with claim_writing(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])):
    print("claimed", flush=True)
    time.sleep(60)
"""
A, B = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch):
    monkeypatch.setattr(writers, "WAIT_SECONDS", 0.2)


@pytest.mark.parametrize(
    ("first", "second", "compatible"),
    [
        ((A, 0, 2), (A, 1, 2), True),
        ((A, 0, 1), (A, 0, 1), False),
        ((A, 1, 2), (A, 1, 2), False),
        ((A, 1, 2), (A, 0, 1), False),
        ((A, 0, 3), (A, 1, 2), False),
        ((A, 0, 2), (B, 1, 2), False),
    ],
)
def test_shares_of_one_plan_are_written_side_by_side_and_nothing_else(tmp_path, first, second, compatible):
    with ExitStack() as stack:
        stack.enter_context(claim_writing(tmp_path, *first))
        if not compatible:
            stack.enter_context(
                pytest.raises(StoreError, match=rf"Process {os.getpid()} on host .* is writing .* Wait until it ends")
            )
        with claim_writing(tmp_path, *second):
            assert len(list((tmp_path / WRITERS).iterdir())) == 3
    with claim_writing(tmp_path, *second):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_does_not_hold_its_claim_and_its_leftovers_go(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), A, "0", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        leftover = temporary_sibling(tmp_path / "part")
        leftover.write_bytes(b"half")
        with pytest.raises(StoreError, match=f"Process {holder.pid} on host"), claim_writing(tmp_path, B):
            pass
        with claim_writing(tmp_path, A, 1, 2):
            assert leftover.exists()  # it may be of the living process
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with claim_writing(tmp_path, B):
        assert not leftover.exists()
        assert len(list((tmp_path / WRITERS).iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_claims_is_not_followed_out_of_its_place(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / WRITERS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptStoreError, match="is a link"), claim_writing(tmp_path / "store", A):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["guard", "x", "", "a.0-of-1.h.1", "../a.0-of-1.h.1.a"])
def test_other_names_are_not_claims(name):
    assert Claim.parse(name) is None


def test_the_name_of_a_claim_says_all():
    claim = Claim.of(A, 3, 8)
    assert Claim.parse(claim.file_name()) == claim
