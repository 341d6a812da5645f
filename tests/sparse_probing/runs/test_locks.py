"""Locks between processes, also those of processes that were killed."""

import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from probing_datasets.foundation.errors import DamagedFileError
from sparse_probing.runs import locks
from sparse_probing.runs.locks import is_locked, locked
from tests.builders.odd_paths import ODD, put_odd

HOLD = """
import sys, time
from pathlib import Path
from sparse_probing.runs.locks import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_another_process_that_only_looks_at_a_lock_does_not_hold_it(tmp_path, monkeypatch):
    path = tmp_path / "a.lock"
    with ExitStack() as look:
        look.enter_context(locked(path))
        monkeypatch.setattr(locks.time, "sleep", lambda pause: look.close() if pause else None)
        assert not is_locked(path)


def test_a_lock_is_held_and_given_back(tmp_path):
    path = tmp_path / "below" / "a.lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
    assert not is_locked(path)


def test_the_lock_of_a_process_that_is_killed_is_free(tmp_path):
    path = tmp_path / "a.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    assert is_locked(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not is_locked(path)


def test_one_at_a_time(tmp_path):
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "a.lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert set(most) == {1}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_not_a_file_is_not_locked(tmp_path, kind):
    put_odd(kind, tmp_path / "a.lock")
    assert not is_locked(tmp_path / "a.lock")
    put_odd("file", tmp_path / "not a folder")
    assert not is_locked(tmp_path / "not a folder" / "a.lock")


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_what_is_not_a_file_cannot_be_locked(tmp_path, kind):
    put_odd(kind, tmp_path / "a.lock")
    with pytest.raises(DamagedFileError, match="a.lock cannot be locked"), locked(tmp_path / "a.lock"):
        pass
