"""Entries of a job: tasks that another process runs come last, and what it finished is not run again."""

import multiprocessing

from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.tasks import entry_points as entry
from sparse_probing.runs.tasks.attempt_records import attempt_lock, begin_attempt, is_attempted
from sparse_probing.runs.tasks.published_results import read_record


def hold(path, started, end):
    with locked(attempt_lock(path)):
        started.set()
        end.wait(60)


def test_a_task_that_another_process_runs_comes_last(plant, monkeypatch):
    run = create_run(plant())
    keys = list(run.tasks)
    context = multiprocessing.get_context("spawn")
    started, end, order = context.Event(), context.Event(), []
    other = begin_attempt(run.path, keys[0], "another")
    process = context.Process(target=hold, args=(other, started, end))
    process.start()
    assert started.wait(60)
    do = entry.run_task

    def note(path, key):
        order.append(key)
        assert is_attempted(run.path, key)
        return do(path, key)

    monkeypatch.setattr(entry, "run_task", note)
    try:
        entry.run_entry(str(run.path), keys, "this")
    finally:
        end.set()
        process.join()
    assert order == [*keys[1:], keys[0]]
    assert all(read_record(run.path, key, run.tasks[key]) for key in keys)
    assert not any(is_attempted(run.path, key) for key in keys)


def test_a_task_that_another_process_finished_meanwhile_is_not_run_again(plant, monkeypatch):
    run = create_run(plant())
    first, second, *_ = run.tasks
    do, order = entry.run_task, []

    def finish_both(path, key):
        order.append(key)
        do(path, first)
        return do(path, second)

    monkeypatch.setattr(entry, "run_task", finish_both)
    entry.run_entry(str(run.path), [first, second], "this")
    assert order == [first]
