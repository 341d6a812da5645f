"""How many tasks an entry of an array gets, and searches that may be longer than a job."""

import pytest

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.slurm.job_arrays import measured_tasks_per_entry, task_array
from sparse_probing.runs.slurm.long_searches import warn_of_long_searches
from sparse_probing.studies import STUDIES
from tests.builders.planted_runs import planted_settings
from tests.builders.runs import noise_labels, publish_result


@pytest.fixture
def config(plant, monkeypatch):
    """Two layers of eight features, a task for each; there is no Slurm here."""
    monkeypatch.setenv("PATH", "")
    return plant(**noise_labels(6)).with_flags(cluster="slurm")


def finish(run, seconds, n=1):
    for key in list(run.tasks)[:n]:
        publish_result(run, key, seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "minutes", "expected"),
    [(2.0, 240, 16), (8.0, 240, 7), (20.0, 240, 3), (70.0, 240, 1), (5.0, 1, 3), (0.0, 240, 16)],
)
def test_entries_of_about_a_minute_where_the_seconds_of_a_task_are_known(config, seconds, minutes, expected):
    run = create_run(config)
    keys = list(run.tasks)
    assert measured_tasks_per_entry(run, keys, minutes) == 1  # nothing is known
    finish(run, seconds)
    assert measured_tasks_per_entry(run, keys, minutes) == expected


def test_the_choice_is_recorded_and_what_the_user_says_counts_more(config):
    run = create_run(config)
    finish(run, 20.0)
    keys = list(run.tasks)[1:]
    array = task_array(run, keys, config.execution, config.slurm)
    assert array.submission.keys
    assert [len(entry) for entry in array.submission.keys] == [3] * 5
    given = config.with_flags(tasks_per_job=4).execution
    assert task_array(run, keys, given, config.slurm).tasks_per_entry == 4


def test_the_seconds_of_a_run_beside_it_count_and_a_damaged_one_does_not_matter(config):
    run, other = create_run(config), create_run(config.with_flags(seed=1))
    finish(other, 20.0)
    assert measured_tasks_per_entry(run, list(run.tasks), 240) == 3
    (other.path / "run.json").write_text("{")
    assert measured_tasks_per_entry(run, list(run.tasks), 240) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"osp_upto_k": 4, "osp_timeout": 600, "time": 10},
            "One feature of optimal_sparse_probing may take 4 searches of --osp_timeout 600, 40 minutes in all, and a "
            "job has --time 10. A feature that takes longer than a job is started once more and then fails: set "
            "--time 42 or more, or --osp_timeout 120 or less.",
        ),
        ({"osp_upto_k": 4, "osp_timeout": 60, "time": 1}, "set --time 6 or more."),
        ({"osp_upto_k": 4, "osp_resamples": 99, "osp_timeout": 60}, "400 searches of --osp_timeout 60, 400 minutes"),
        ({"osp_upto_k": 4, "osp_timeout": 60, "time": 6}, ""),
        ({}, ""),
    ],
)
def test_searches_that_may_be_longer_than_a_job_are_named_before_they_are_submitted(caplog, flags, message):
    warn_of_long_searches(planted_settings(experiment_type=("dense_probe", "optimal_sparse_probing"), **flags))
    assert message in caplog.text
    assert bool(message) == bool(caplog.text)


def test_an_array_warns(config, caplog):
    run = create_run(config.with_flags(experiment_type=("optimal_sparse_probing",), osp_timeout=7200))
    task_array(run, list(run.tasks), config.execution, config.slurm)
    assert "set --time 962 or more" in caplog.text


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.slow])
def test_every_study_of_searches_counts_them(name):
    few = planted_settings(osp_upto_k=2, iterative_pruning_n_prune_steps=2)
    more = few.with_flags(osp_upto_k=4, iterative_pruning_n_prune_steps=4)
    count = STUDIES[name].n_searches
    assert count(more) == 2 * count(few) >= 4
