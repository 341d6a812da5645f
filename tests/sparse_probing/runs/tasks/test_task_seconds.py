"""How long tasks took: of this run and of those beside it, whatever is wrong with one of them."""

from dataclasses import replace

import pytest

from probing_datasets.foundation.files.sealed_json import unseal, write_sealed
from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import RUN_RECORD, name_run, record_run
from sparse_probing.runs.tasks.published_results import task_folder
from sparse_probing.runs.tasks.task_seconds import seconds_per_feature
from tests.builders.odd_paths import put_odd
from tests.builders.runs import publish_result


@pytest.fixture
def runs(plant):
    """Two runs with the same activations, of two studies."""
    configs = [plant().with_flags(experiment_type=(study,)) for study in ("dense_probe", "enumerate_monosemantic")]
    runs = [create_run(config) for config in configs]
    for run in runs:
        publish_result(run, next(iter(run.tasks)))
    return runs


def test_of_this_run_and_of_one_beside_it(runs):
    assert seconds_per_feature(runs[0]) == {"dense_probe": [2.0], "enumerate_monosemantic": [2.0]}


def no_features(other):
    task = replace(next(iter(other.tasks.values())), features=())
    run = replace(name_run(other.config, [task], other.input_digest), path=other.path)
    record_run(run)
    publish_result(run, next(iter(run.tasks)))


def wrong_setting(other):
    record = unseal((other.path / RUN_RECORD).read_bytes())
    write_sealed(other.path / RUN_RECORD, record | {"config": dict.fromkeys(record["config"], [[None]])})


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to itself", "file"])
@pytest.mark.parametrize("place", ["record", "result", "tasks"])
def test_one_wrong_path_of_a_run_beside_it_stops_nothing(runs, kind, place):
    first, other = runs
    folder = task_folder(other.path, next(iter(other.tasks)))
    put_odd(kind, {"record": other.path / RUN_RECORD, "result": folder, "tasks": folder.parent}[place])
    assert seconds_per_feature(first) == {"dense_probe": [2.0]}


@pytest.mark.parametrize("damage", [no_features, wrong_setting])
def test_a_sealed_record_that_no_run_has_stops_nothing(runs, damage):
    first, other = runs
    damage(other)
    assert seconds_per_feature(first) == {"dense_probe": [2.0]}
