"""Importing the settings is fast: no library for data, models or storage is loaded, and the process is not changed."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
HEAVY = ("datasets", "torch", "transformers", "pandas", "pyarrow", "h5py", "zarr")


def modules_after(statement: str) -> set[str]:
    """Return the names of all modules in a new process after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", script]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout.split())


@pytest.mark.parametrize("module", ["sparse_probing.config", "sparse_probing.commands.stores", "get_activations"])
def test_no_heavy_library_is_imported(module):
    # The settings name the aggregations of a feature data set; what that package imports is not theirs.
    of_feature_dataset = modules_after("from probing_datasets.feature_dataset import Aggregation")
    assert not (modules_after(f"import {module}") - of_feature_dataset).intersection(HEAVY)


def test_settings_do_not_change_the_environment():
    script = (
        "import os\nfrom sparse_probing.config import HarvestConfig, ProbingConfig\n"
        "before = dict(os.environ)\nHarvestConfig()\nProbingConfig()\nassert dict(os.environ) == before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)
