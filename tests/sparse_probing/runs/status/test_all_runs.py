"""The index of runs says which runs miss probes: one without any probe is not simply done."""

import shutil

import numpy as np
import pytest

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.planning.run_record import RUN_RECORD
from sparse_probing.runs.status.all_runs import index_runs
from sparse_probing.runs.tasks.run_task import run_task
from tests.builders.planted_runs import N_SEQUENCES

RARE = np.where(np.arange(N_SEQUENCES) < 2, 1.0, -1.0)
"""One group has the feature, so no split has it on both sides."""


def test_a_record_where_no_run_belongs_does_not_hide_the_others(plant):
    config = plant()
    run = create_run(config)
    root = config.activations.results_dir / "probing"
    record = (run.path / RUN_RECORD).read_bytes()
    shutil.rmtree(root)
    for names in ((), ("one",), ("one", "two", "three", "four", "five")):
        folder = root.joinpath(*names)
        folder.mkdir(parents=True)
        (folder / RUN_RECORD).write_bytes(record)
        (listed,) = index_runs(config.activations.results_dir)
        assert (listed.state, listed.path) == ("4 todo", str(folder))
        assert (listed.model, listed.dataset) == (names[-5:-3] if len(names) == 5 else ("", ""))
        shutil.rmtree(root)


@pytest.mark.parametrize(
    ("features", "n_run", "state"),
    [
        (("rare",), 1, "no feature probed"),
        (("mood",), 1, "no feature probed"),  # probed class by class, and every class has one group
        (("rare", "strong"), 2, "done, features that miss probes: 1"),
        (("rare", "strong"), 1, "1 done, 1 todo, features that miss probes: 1"),
        (("strong",), 1, "done"),
    ],
)
def test_features_that_could_not_be_probed_are_in_the_state(plant, features, n_run, state):
    mood = np.where(RARE > 0, 1.0, 0.0)
    config = plant(rare=RARE, mood=mood, kinds={"mood": "multiclass"}).with_flags(layers=(1,))
    run = create_run(config.with_flags(feature_subset=features))
    for key in list(run.tasks)[:n_run]:
        run_task(str(run.path), key)
    assert [each.state for each in index_runs(config.activations.results_dir)] == [state]
