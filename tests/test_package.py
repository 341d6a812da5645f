"""The wheel: two packages and two commands, which work in a folder whose names collide with old ones of ours."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COLLIDING = ("experiments/__init__.py", "analysis/__init__.py", "tests/__init__.py", "config.py", "results.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("sparse_probing-*.whl")
    return path


@pytest.fixture
def installed(wheel, tmp_path):
    """Return a function that runs Python with the unpacked wheel in a folder of colliding names."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    folder = tmp_path / "work"
    for name in COLLIDING:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise RuntimeError('a module of the user was imported')\n")
    environment = os.environ | {"PYTHONPATH": str(site)}

    def python(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return python


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"probing_datasets", "sparse_probing"}
    commands = [line.split(" =")[0] for line in entry_points.splitlines() if "=" in line]
    assert sorted(commands) == ["get-activations", "probing-experiment"]
    assert {"sparse_probing/py.typed", "probing_datasets/py.typed"} <= set(names)
    assert not [name for name in names if "/tests/" in name or "/test_" in name or "__pycache__" in name]


def test_the_ten_lines_run_from_the_wheel_in_a_folder_of_colliding_names(installed, tmp_path):
    script = tmp_path / "work" / "ten_lines.py"
    script.write_text((ROOT / "tests" / "user_scripts" / "every_call.py").read_text())
    done = installed("-c", "import sparse_probing; print(sparse_probing.__file__)")
    assert done.stdout.startswith(str(tmp_path / "site"))
    done = installed(str(script))
    assert done.returncode == 0, done.stderr
    assert "French" in done.stdout


def test_both_commands_run_from_the_wheel_in_a_folder_of_colliding_names(installed):
    call = "import sys; from sparse_probing.commands.{0} import main; sys.exit(main())"
    assert installed("-m", "probing_datasets", "make", "natural_lang_id").returncode == 0
    shared = ("--feature_dataset", "natural_lang_id.demo.256.-1", "--activation_aggregation", "mean")
    done = installed("-c", call.format("get_activations"), *shared)
    assert done.returncode == 0, done.stderr
    study = ("--experiment_type", "enumerate_monosemantic", "--layers", "1", "2", "--workers", "2")
    done = installed("-c", call.format("probing_experiment"), *shared, *study)
    assert done.returncode == 0, done.stderr
    assert len(set(re.findall(r"[+-]L[12]\.\d+", done.stdout))) >= 5
