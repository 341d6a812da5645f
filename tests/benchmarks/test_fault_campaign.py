"""The campaign tells right from wrong: faults change files, endings are distinguished, and a bad result is found."""

import json
import random
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks import _command_processes, fault_campaign
from benchmarks._command_processes import Outcome, run_process
from benchmarks._fault_subjects import Subject
from benchmarks._faults import DAMAGE, forge
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.files.atomic_files import write_bytes
from probing_datasets.foundation.files.sealed_json import read_sealed, unseal, write_sealed


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_kind_of_damage_changes_the_file(kind, tmp_path):
    original = bytes(range(1, 256)) * 3
    (tmp_path / "a.bin").write_bytes(original)
    (tmp_path / "b.bin").write_bytes(original[::-1])
    DAMAGE[kind](tmp_path / "a.bin", random.Random(0))
    path = tmp_path / "a.bin"
    assert path.is_symlink() or not path.is_file() or path.read_bytes() != original
    assert (tmp_path / "b.bin").read_bytes() == original[::-1]


def test_a_forged_file_keeps_its_seal(tmp_path):
    content = {"a": [1, {"b": "c"}], "d": None}
    forged = []
    for seed in range(20):
        write_sealed(tmp_path / "plan.json", content)
        forge(tmp_path / "plan.json", random.Random(seed))
        forged.append(json.dumps(unseal((tmp_path / "plan.json").read_bytes())))
    assert len(set(forged)) > 10
    assert any("escaped" in text for text in forged)


@pytest.fixture
def process(tmp_path, monkeypatch):
    monkeypatch.setattr(_command_processes, "PRELOADED", [])
    (tmp_path / "work").mkdir()
    return partial(run_process, folder=tmp_path / "work", environment={})


def test_endings_are_distinguished(process, tmp_path):
    assert process(partial(int, 0)).ending == "done"
    assert process(partial(run_command, partial(read_sealed, Path("none.json"), dict))).ending == "refused"
    assert process(partial(int, "x")).ending == "traceback"
    assert process(partial(run_command, partial(int, "x"))).ending == "traceback"
    assert process(partial(time.sleep, 600), time_limit=1).ending == "no answer"
    assert process(partial(write_bytes, tmp_path / "file", b"whole"), kill_after=1).ending == "killed"
    assert (tmp_path / "file").read_bytes() == b"whole"


class BadProject:
    """Commands that check and repair nothing, and a reader that returns the bytes of a file."""

    def __init__(self, root, *, escapes=False):
        self.root, self.work, self.escapes = root, root / "work", escapes
        (self.work / "results").mkdir(parents=True)
        (self.work / "results" / "numbers.txt").write_text("17 4 23")

    def run(self, _line):
        if self.escapes:
            (self.root / "escaped").touch()
        return Outcome("done", "intact")

    def read(self, _subject):
        try:
            return Outcome("done", (self.work / "results" / "numbers.txt").read_bytes().hex())
        except FileNotFoundError:
            return Outcome("refused", "error: missing")

    def outside(self):
        return {path.name: (0, 0) for path in self.root.iterdir()}


@pytest.mark.parametrize(
    ("kind", "escapes", "verdict"),
    [
        ("bit flipped", False, "wrong"),
        ("deleted", False, "missed"),
        ("kill", True, "outside"),
        ("kill", False, "same numbers"),
    ],
)
def test_what_no_command_notices_is_found(tmp_path, kind, escapes, verdict):
    place = BadProject(tmp_path, escapes=escapes)
    subject = Subject("numbers", ("make",), (("check",),), bytes, "results")
    expected = place.read(subject).printed
    assert fault_campaign._try_fault(place, subject, kind, 0, expected, random.Random(0))[0] == verdict
