"""The record of a run: no change of it is accepted, and tasks of another version of the code are refused."""

import os
from dataclasses import replace

import pytest

from probing_datasets.foundation.errors import CodeChangedError, DamagedFileError
from probing_datasets.foundation.files.sealed_json import read_sealed, unseal, write_sealed
from sparse_probing.neurons.export import export_neurons
from sparse_probing.runs.planning import run_record
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import RUN_RECORD, KeyedTask, RunRecord, find_run, load_run
from sparse_probing.runs.tasks.attempt_records import attempts_of
from sparse_probing.runs.tasks.entry_points import run_entry, run_share


@pytest.fixture
def run(plant):
    return create_run(plant())


def test_no_changed_bit_is_accepted(run):
    path = run.path / RUN_RECORD
    content = path.read_bytes()
    for position in range(0, len(content), 17):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(DamagedFileError, match=r"run\.json is damaged .*The command that launched the run writes"):
            load_run(run.path)
    path.write_bytes(content)
    assert load_run(run.path) == run


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"content": {}}', "[" * 100_000, "9" * 10_000])
def test_what_is_not_a_record_is_refused(run, content):
    (run.path / RUN_RECORD).write_text(content)
    with pytest.raises(DamagedFileError, match=r"run\.json is damaged"):
        load_run(run.path)


def test_a_pipe_does_not_block(run):
    (run.path / RUN_RECORD).unlink()
    os.mkfifo(run.path / RUN_RECORD)
    with pytest.raises(DamagedFileError, match="not a regular file"):
        load_run(run.path)


@pytest.mark.parametrize("field", ["config", "activations", "tasks", "versions"])
def test_a_sealed_record_without_a_field_is_refused(run, field):
    record = unseal((run.path / RUN_RECORD).read_bytes())
    del record[field]
    write_sealed(run.path / RUN_RECORD, record)
    with pytest.raises(DamagedFileError, match=f"missing required field `{field}`"):
        load_run(run.path)


def changed_seed(record):
    return replace(record, config=record.config | {"seed": 1})


def changed_input(record):
    return replace(record, activations="0" * 64)


def changed_layer(record):
    first, *others = record.tasks
    return replace(record, tasks=[KeyedTask(first.key, replace(first.task, layer=1)), *others])


def unknown_setting(record):
    return replace(record, config=record.config | {"of_a_later_version": 1})


def missing_folder(record):
    return replace(record, config={name: value for name, value in record.config.items() if name != "results_dir"})


@pytest.mark.parametrize("change", [changed_seed, changed_input, changed_layer, unknown_setting, missing_folder])
def test_tasks_do_not_begin_under_keys_that_their_settings_do_not_give(run, change):
    """Even with a valid seal: rows of seed 1 must never be published under the key of seed 0."""
    path, (key, *_) = run.path / RUN_RECORD, run.tasks
    write_sealed(path, change(read_sealed(path, RunRecord)))
    with pytest.raises(CodeChangedError, match="the code changed since this was submitted; launch again"):
        run_entry(str(run.path), [key], "submission")
    assert attempts_of(run.path, key) == []
    assert not (run.path / "tasks").exists()


@pytest.mark.parametrize(
    "change",
    [{"probe_location": "../../../../x"}, {"feature_dataset": ".."}, {"model": ".."}, {"experiment_name": "../../x"}],
)
def test_a_record_of_another_person_names_no_folder_elsewhere(run, tmp_path, change):
    record = read_sealed(run.path / RUN_RECORD, RunRecord)
    write_sealed(run.path / RUN_RECORD, replace(record, config=record.config | change))
    with pytest.raises((DamagedFileError, CodeChangedError)):
        export_neurons(run.path, tmp_path / "neurons")
    assert not (tmp_path / "neurons").exists()


def test_a_job_of_an_older_version_of_the_code_is_refused(run, plant, monkeypatch):
    monkeypatch.setattr(run_record, "ALGORITHM_VERSION", run_record.ALGORITHM_VERSION + 1)
    for job in (
        lambda: run_entry(str(run.path), list(run.tasks), "submission"),
        lambda: run_share(run.config.record_with_full_paths(), run.folder.name, 0, 1, "submission"),
    ):
        with pytest.raises(CodeChangedError, match="the code changed since this was submitted; launch again"):
            job()
    assert find_run(run.folder.parent / "none") is None
    assert [path.name for path in run.path.iterdir()] == [RUN_RECORD]


def test_the_next_launch_writes_a_damaged_record_again(run):
    content = (run.path / RUN_RECORD).read_bytes()
    (run.path / RUN_RECORD).write_text("null")
    assert create_run(run.config) == run
    assert (run.path / RUN_RECORD).read_bytes() == content
