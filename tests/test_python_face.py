"""`import sparse_probing`: lazy, typed, without side effects, and with errors that say what exists."""

import subprocess
import sys
from pathlib import Path

import pytest

import sparse_probing as sp

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "datasets", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "zarr", "h5py"}


def loaded_by(program: str) -> set[str]:
    """Return the heavy modules that a program loads in a new process."""
    report = f"{program}\nimport sys\nprint(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "program", ["import sparse_probing", "import probing_datasets", "import sparse_probing.config"]
)
def test_nothing_heavy_is_imported_before_it_is_used(program):
    assert loaded_by(program) == set()


def test_a_table_of_neurons_needs_no_torch():
    program = "import sparse_probing as sp\nsp.load_neurons('demo', 'natural_lang_id', folder='interpretable_neurons')"
    assert not loaded_by(program) & {"torch", "transformers", "datasets"}


@pytest.mark.parametrize("script", ["get_activations.py", "probing_experiment.py"])
def test_help_needs_nothing_heavy(script):
    program = f"""
import runpy, sys
sys.argv = ['{script}', '--help']
try:
    runpy.run_path('{script}', run_name='__main__')
except SystemExit:
    pass"""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint('LOADED', *sorted(set(sys.modules) & {HEAVY!r}))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_every_name_is_there_and_an_unknown_one_is_answered_with_those():
    for name in sp.__all__:
        assert getattr(sp, name) is not None
    assert set(sp.__all__) - {"__version__"} == set(sp.MODULES)
    with pytest.raises(AttributeError, match="no attribute 'probes_of'; it has ActivationStore, DenseProbe"):
        _ = sp.probes_of


@pytest.mark.slow
def test_a_user_s_script_passes_the_type_checker_in_strict_mode(tmp_path):
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict", "include": ["script.py"]}')
    (tmp_path / "script.py").write_text((ROOT / "tests" / "user_scripts" / "every_call.py").read_text())
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("program", ["every_call.py"])
def test_a_user_s_script_runs_in_a_folder_with_packages_of_the_same_names(program, tmp_path):
    for name in ("experiments", "analysis", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a package of the user was imported')\n")
    for name in ("config.py", "results.py"):
        (tmp_path / name).write_text("raise RuntimeError('a module of the user was imported')\n")
    (tmp_path / "script.py").write_text((ROOT / "tests" / "user_scripts" / program).read_text())
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "French" in done.stdout
