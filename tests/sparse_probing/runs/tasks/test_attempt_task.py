import multiprocessing

from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.plan_run import plan_run
from sparse_probing.runs.tasks import attempt_task as entry
from sparse_probing.runs.tasks.attempts import begin_attempt, is_attempted
from sparse_probing.runs.tasks.results import read_record


def hold(path, begun, end):
    with locked(path):
        begun.set()
        end.wait(60)


def test_a_task_that_another_process_is_at_comes_last(plant, monkeypatch):
    run = plan_run(plant())
    keys = list(run.tasks)
    context = multiprocessing.get_context("spawn")
    begun, end, order = context.Event(), context.Event(), []
    other = begin_attempt(run.path, keys[0], "another")
    process = context.Process(target=hold, args=(other, begun, end))
    process.start()
    assert begun.wait(60)
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
    assert all(read_record(run.path, key) for key in keys)
    assert not any(is_attempted(run.path, key) for key in keys)


def test_what_the_other_process_finished_meanwhile_is_not_done_again(plant, monkeypatch):
    run = plan_run(plant())
    first, second, *_ = run.tasks
    do, order = entry.run_task, []

    def finish_both(path, key):
        order.append(key)
        do(path, first)
        return do(path, second)

    monkeypatch.setattr(entry, "run_task", finish_both)
    entry.run_entry(str(run.path), [first, second], "this")
    assert order == [first]
