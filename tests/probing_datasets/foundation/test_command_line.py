"""`run_command` and `prepare_process`: exit statuses, messages, and what a command changes in its process."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from probing_datasets.foundation import errors
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.environment import COMMAND_DEFAULTS

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _restore_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a command sets in the environment."""
    for name in COMMAND_DEFAULTS:
        monkeypatch.setenv(name, COMMAND_DEFAULTS[name])


def raising(error: BaseException):
    def command():
        raise error

    return command


def test_success():
    assert run_command(lambda: 7) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_errors_that_a_user_can_fix(kind, capsys):
    assert issubclass(kind, errors.SparseProbingError)
    assert run_command(raising(kind("The disk is full. Free some space."))) == 1
    assert capsys.readouterr() == ("", "error: The disk is full. Free some space.\n")


def test_errors_of_the_file_system(capsys):
    assert run_command(raising(OSError(28, "No space left on device", "/data/part"))) == 1
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: '/data/part'. Finished work is kept; "
        "fix this and run the same command again.\n"
    )


def test_interruption(capsys):
    assert run_command(raising(KeyboardInterrupt())) == 130
    assert "finished work is kept" in capsys.readouterr().err


class LibraryError(Exception):
    """Of a library, as none of our tuples names it."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError in command (test_command_line.py, line"),
        (LibraryError("It failed\nfor a reason\nof many lines"), "LibraryError in command"),
        (LibraryError(), "no message"),
        (AssertionError(), "AssertionError in command"),
        (OSError("a library's own, without a number"), "OSError in command"),
        (UnicodeEncodeError("ascii", "\ud800", 0, 1, "no"), "UnicodeEncodeError in command"),
        (LibraryError("\ud800"), "LibraryError in command"),
    ],
)
def test_any_other_error_is_one_line_and_a_file_with_its_traceback(error, line, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_command(raising(error)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert line in err
    assert "Traceback (most" not in err
    (file,) = tmp_path.iterdir()
    assert str(file) in err
    assert "Traceback (most recent call last)" in file.read_text()
    assert type(error).__name__ in file.read_text()


def test_a_disk_that_is_full_does_not_hide_the_error(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert run_command(raising(LibraryError("It failed."))) == 1
    assert "LibraryError in command" in capsys.readouterr().err


def test_a_reader_that_stops_reading_ends_the_command_quietly(tmp_path):
    program = (
        "import sys; from probing_datasets.foundation.command_line import run_command\n"
        "sys.exit(run_command(lambda: [print('x' * 1000) for _ in range(10_000)]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_exit_of_the_parser_passes_through():
    with pytest.raises(SystemExit):
        run_command(raising(SystemExit(2)))


STATE = """
import json, os, sys
before = dict(os.environ)
{imports}
import datasets, transformers
from datasets.utils import are_progress_bars_disabled
print(are_progress_bars_disabled(), not transformers.utils.logging.is_progress_bar_enabled())
print(json.dumps([name for name in {{*before, *os.environ}} if before.get(name) != os.environ.get(name)]))
"""
"""Print whether the progress bars of both libraries are hidden, and the variables that changed."""

IMPORTS = """
import importlib, pkgutil
import probing_datasets, sparse_probing, get_activations, probing_experiment
for package in (probing_datasets, sparse_probing):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from probing_datasets.make_config import MakeConfig
from sparse_probing.config import HarvestConfig, ProbingConfig
MakeConfig("ewt")
HarvestConfig.from_flags(model="demo", feature_dataset="none")
ProbingConfig.from_flags(model="demo", feature_dataset="none")
"""

SET_BY_LIBRARIES = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}
"""Variables that an imported library sets."""

PREPARE = """
from probing_datasets.foundation.command_line import run_command
assert run_command(lambda: None) == 0
assert "datasets" not in sys.modules and "torch" not in sys.modules  # prepared before their import
"""

PREPARE_LATE = """
import datasets, transformers
from probing_datasets.foundation.command_line import run_command
assert run_command(lambda: None) == 0
"""


def run_program(program: str, folder: Path) -> list[str]:
    """Run a program in a folder, without the variables of a command, and return the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in COMMAND_DEFAULTS}
    environment |= {"PYTHONPATH": str(ROOT), "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_imports_and_settings_change_nothing_in_the_process(tmp_path):
    (tmp_path / ".env").write_text("RESULTS_DIR=/from/file\nLD_PRELOAD=/evil.so\n")
    hidden, changed = run_program(STATE.format(imports=IMPORTS), tmp_path)
    assert hidden == "False False"
    assert set(json.loads(changed)) <= SET_BY_LIBRARIES


@pytest.mark.parametrize("prepare", [PREPARE, PREPARE_LATE])
def test_a_command_prepares_its_process(tmp_path, prepare):
    (tmp_path / ".env").write_text("HF_HOME=/from/file\nLD_PRELOAD=/evil.so\nPATH=/evil\nSLURM_JOB_ID=1\n")
    hidden, changed = run_program(STATE.format(imports=prepare), tmp_path)
    assert hidden == "True True"
    assert set(json.loads(changed)) - SET_BY_LIBRARIES == {*COMMAND_DEFAULTS, "HF_HOME"}


HEAVY = ("datasets", "torch", "transformers", "pandas", "pyarrow")


@pytest.mark.parametrize(
    "statement",
    [
        "import probing_datasets",
        "from probing_datasets.feature_dataset import Aggregation, FeatureDataset, load_feature_dataset",
        "from probing_datasets.make import make_dataset",
        "import probing_datasets.__main__ as m; m.command_type()",
    ],
)
def test_imports_are_light(tmp_path, statement):
    program = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    assert run_program(program, tmp_path) == ["[]"]


def test_help_is_light(tmp_path):
    """The modules that `--help` imports, as `-X importtime` reports them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "importtime", "-m", "probing_datasets", "--help"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tyro" in modules
    assert not modules & set(HEAVY)


SHOWS = """
import logging
from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.console import Column, fit_table, open_console, show
from probing_datasets.foundation.errors import DatasetError

def command():
    show("wrote café \\u27e6\\u0434\\u27e7 \\x1b]0;title\\x07")
    open_console().print(fit_table([Column("mot", ["été \\x1b[31m\\u4e2d\\udc80"], is_text=True)], 80)[0])
    logging.warning("naïve \\x1b[2J")
    raise DatasetError("The label \\x1b[31m\\u0436\\nis not known.")

raise SystemExit(run_command(command))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "ascii:strict"])
def test_output_on_a_stream_of_any_encoding(tmp_path, encoding):
    """What the encoding does not have, and what a terminal obeys, is printed as an escape sequence."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", SHOWS], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    name = encoding.partition(":")[0]
    out, err = done.stdout.decode(name), done.stderr.decode(name)
    assert done.returncode == 1
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    assert "\\x1b]0;title\\x07" in out
    assert "\\x1b[31m" in out
    assert "\\udc80" in out
    assert ("⟦д⟧" if name == "utf-8" else "\\u27e6\\u0434\\u27e7") in out
    assert ("caf\\xe9" if name == "ascii" else "café") in out
    assert err.splitlines()[-3:-2] == ["WARNING na\\xefve \\x1b[2J" if name == "ascii" else "WARNING naïve \\x1b[2J"]
    zhe = "ж" if name == "utf-8" else "\\u0436"
    assert err.splitlines()[-2:] == [f"error: The label \\x1b[31m{zhe}", "is not known."]


@pytest.mark.parametrize("module", ["get_activations", "probing_experiment", "probing_datasets"])
def test_help_on_an_ascii_stream(tmp_path, module):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()


WORKER = """
import logging, sys
from sparse_probing.runs.tasks import worker
worker.attempt_task = lambda *_: logging.getLogger("x").warning("token \\x1b[2J \\u4e2d")
worker.main("run", "submission", 1)
"""
JOB = """
import logging, sys
from pathlib import Path
from types import SimpleNamespace
from sparse_probing.runs.slurm import job
folder = Path(sys.argv[1])
(folder / "logs").mkdir()
(folder / "logs" / "7_submitted.pkl").touch()
job.JobEnvironment = lambda: SimpleNamespace(job_id="7", array_task_id=None)
job.process_job = lambda _: logging.getLogger("x").warning("token \\x1b[2J \\u4e2d")
job.main(folder)
"""


@pytest.mark.parametrize("program", [WORKER, JOB])
def test_workers_and_jobs_log_nothing_that_a_terminal_obeys(tmp_path, program):
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        input=b"key\n",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=60,
    )
    assert b"WARNING token \\x1b[2J \\u4e2d\n" in done.stderr
