"""What a job, a worker and the commands of stage 2 import: thousands of them start, and none loads a model."""

import subprocess
import sys

import pytest

from tests.builders.runs import PLANTED_FLAGS

HEAVY = ("torch", "transformers", "transformer_lens", "datasets", "pandas", "scipy.stats", "sklearn", "matplotlib")


def heavy_modules_after(program, *arguments):
    """Return which heavy modules a new process has imported after a program."""
    ending = f"import sys; print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", f"{program}\n{ending}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "modules",
    [
        "sparse_probing.runs.slurm.job, sparse_probing.runs.tasks.worker, sparse_probing.runs.launch",
        "sparse_probing.runs.slurm.both_stages, sparse_probing.runs.dry_run, sparse_probing.commands.runs",
    ],
)
def test_jobs_workers_and_launches_import_no_library_that_they_do_not_need(modules):
    assert heavy_modules_after(f"import {modules}") == set()


def test_no_library_of_models_is_imported_to_dry_run_fit_and_follow_a_study(plant):
    plant()
    main = "import sys; import probing_experiment; sys.argv = ['', *sys.argv[1:]]; probing_experiment.main()"
    fit = [*PLANTED_FLAGS, "--max_k", "4"]
    for arguments in ([*fit, "--dry_run"], fit, ["status", *fit]):
        assert heavy_modules_after(main, *arguments).isdisjoint({"torch", "transformers", "transformer_lens"})
