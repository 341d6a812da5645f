"""The index of runs names features that could not be probed: a run without any result is not simply done."""

import numpy as np

from sparse_probing.runs.planning.create_run import create_run
from sparse_probing.runs.status.all_runs import index_runs
from sparse_probing.runs.tasks.run_task import run_task
from tests.builders.planted_runs import N_SEQUENCES


def test_features_that_could_not_be_probed_are_in_the_state(plant):
    rare = np.where(np.arange(N_SEQUENCES) < 2, 1.0, -1.0)  # one group has it, so no split has it on both sides
    config = plant(rare=rare).with_flags(layers=(1,))
    states = {}
    for features in (("rare",), ("rare", "strong"), ("strong",)):
        run = create_run(config.with_flags(feature_subset=features))
        for key in run.tasks:
            run_task(str(run.path), key)
        states[features] = next(
            each.state for each in index_runs(config.activations.results_dir) if each.path.startswith(str(run.path))
        )
    assert states == {
        ("rare",): "no feature probed",
        ("rare", "strong"): "done, features without probes: 1",
        ("strong",): "done",
    }
