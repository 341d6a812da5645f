"""Records of attempts: who runs a task, why it failed, which attempt was the last."""

import os

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


def test_an_attempt_that_ended_leaves_nothing(tmp_path):
    path = begin_attempt(tmp_path, "abc", "first")
    end_attempt(path)
    end_attempt(path)
    assert last_attempts(tmp_path, {"abc"}) == {}


def test_without_attempts(tmp_path):
    assert last_attempts(tmp_path, {"abc"}) == {}
    assert attempts_of(tmp_path, "abc") == []
