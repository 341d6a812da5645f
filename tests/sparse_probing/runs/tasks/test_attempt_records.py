"""Records of attempts: who runs a task, why it failed, which attempt was the last."""

import os
import shutil

import pytest

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.runs.tasks.attempt_records import (
    attempts_of,
    begin_attempt,
    end_attempt,
    fail_attempt,
    last_attempts,
)


def fail(path, error):
    try:
        raise error
    except type(error) as raised:
        fail_attempt(path, raised)


def test_an_attempt_names_the_job_and_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    begin_attempt(tmp_path, "abc", "first")
    (attempt,) = attempts_of(tmp_path, "abc")
    assert (attempt.key, attempt.submission, attempt.job, attempt.pid) == ("abc", "first", "12_3", os.getpid())
    assert attempt.message == ""


@pytest.mark.parametrize(
    ("error", "message"),
    [(ProbeError("no positive row"), "no positive row"), (ZeroDivisionError("by 0"), "ZeroDivisionError: by 0")],
)
def test_a_failure_keeps_its_traceback(tmp_path, error, message):
    fail(begin_attempt(tmp_path, "abc", "first"), error)
    (attempt,) = attempts_of(tmp_path, "abc")
    assert attempt.message == message
    assert "in fail\n    raise error\n" in attempt.traceback


def test_the_last_attempt_counts(tmp_path):
    fail(begin_attempt(tmp_path, "abc", "first"), ProbeError("once"))
    begin_attempt(tmp_path, "abc", "second")
    begin_attempt(tmp_path, "other", "second")
    assert [attempt.submission for attempt in attempts_of(tmp_path, "abc")] == ["first", "second"]
    last = last_attempts(tmp_path, {"abc", "never"})
    assert {key: (attempt.submission, attempt.message) for key, attempt in last.items()} == {"abc": ("second", "")}


@pytest.mark.parametrize("text", ["", "null", "{}", "[" * 100_000, '{"content": {}, "digest": ""}'])
def test_a_damaged_record_costs_a_warning_and_the_earlier_one_counts(tmp_path, caplog, text):
    begin_attempt(tmp_path, "abc", "first")
    damaged = begin_attempt(tmp_path, "abc", "second")
    damaged.write_text(text)
    assert [attempt.submission for attempt in attempts_of(tmp_path, "abc")] == ["first"]
    assert last_attempts(tmp_path, {"abc"})["abc"].submission == "first"
    assert caplog.text.count(f"A record of an attempt is not used: {damaged} is damaged") == 1
    fail(damaged, ProbeError("no positive row"))
    assert last_attempts(tmp_path, {"abc"})["abc"].message == "no positive row"


def test_what_is_not_a_record_of_an_attempt_is_ignored(tmp_path):
    path = begin_attempt(tmp_path, "abc", "first")
    path.with_name("abc.2.json").mkdir()
    os.mkfifo(path.with_name("abc.3.json"))
    path.with_name("notes.txt").touch()
    shutil.copy(path, path.with_name("other.4.json"))
    assert list(last_attempts(tmp_path, {"abc", "notes", "other"})) == ["abc"]


def test_an_attempt_that_ended_leaves_nothing(tmp_path):
    path = begin_attempt(tmp_path, "abc", "first")
    end_attempt(path)
    end_attempt(path)
    assert last_attempts(tmp_path, {"abc"}) == {}


def test_without_attempts(tmp_path):
    assert last_attempts(tmp_path, {"abc"}) == {}
    assert attempts_of(tmp_path, "abc") == []
