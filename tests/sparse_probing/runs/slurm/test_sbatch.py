"""What a job's environment gets from the batch script: the path of the package only where it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparse_probing.config import Resources, SlurmConfig
from sparse_probing.runs.slurm import sbatch
from sparse_probing.runs.slurm.sbatch import PACKAGE_ROOT, Array, batch_script, is_importable
from sparse_probing.runs.submissions import new_submission


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def array(tmp_path):
    resources = Resources(None, 60, None, 1, 0, None)
    return Array(
        new_submission("probe", "slurm", 1), tmp_path, "run_entry", [["run", [], ""]], SlurmConfig(), resources
    )


def test_a_package_that_is_not_installed_is_not_importable(other_python):
    assert not is_importable(str(other_python), PACKAGE_ROOT)


def test_an_editable_installation_is_importable(other_python):
    (packages,) = (other_python.parents[1] / "lib").glob("python*/site-packages")
    (packages / "sparse_probing.pth").write_text(f"{PACKAGE_ROOT}\n")
    sbatch.is_importable.cache_clear()
    assert is_importable(str(other_python), PACKAGE_ROOT)
    assert not is_importable(str(other_python), Path("/another/clone"))


def test_where_the_package_is_installed_the_path_is_not_changed(array, monkeypatch):
    """The folder of an installation would come before the standard library."""
    monkeypatch.setattr(sbatch, "is_importable", lambda python, root: True)
    assert "PYTHONPATH" not in batch_script(array)


def test_in_a_clone_that_is_not_installed_the_clone_is_on_the_path(array, monkeypatch):
    monkeypatch.setattr(sbatch, "is_importable", lambda python, root: False)
    line = f"export PYTHONPATH={PACKAGE_ROOT}${{PYTHONPATH:+:$PYTHONPATH}}"
    assert line in batch_script(array).splitlines()
