"""The code of the documentation: every shell command is parsed by its real parser, every Python block is executed.

A comment before a Python block says where it runs: ``<!-- runs in: FOLDER -->``. The README's block is executed by
test_readme.py. A command of a program that is not ours is listed with the reason why it is not parsed.
"""

import functools
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import get_activations
import probing_datasets.__main__ as make_command
import probing_experiment
from probing_datasets.feature_dataset import save_dataset
from probing_datasets.foundation import command_line
from probing_datasets.make import make_dataset
from sparse_probing.commands import get_activations as stage_one
from sparse_probing.commands import probing_experiment as stage_two
from sparse_probing.neurons import export
from sparse_probing.reporting import planted_neurons
from tests.builders.harvests import load_model_once
from tests.builders.sources import write_table

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "experiments/*.md", "interpretable_neurons/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"
)
SHELL, PYTHON, OTHER = ("bash", "sh", "shell", "console"), ("python",), ("text", "sparql", "")
BLOCK = re.compile(r"(?:<!-- runs in: (?P<folder>\S+) -->\n+)?```(?P<language>\w*)\n(?P<code>.*?)```", re.DOTALL)

NOT_PARSED = {
    "export": "sets a variable",
    "pip": "needs a network",
    "make": "its targets are those of the Makefile",
    "sbatch": "needs Slurm",
    "squeue": "needs Slurm",
    "sinfo": "needs Slurm",
    "sha256sum": "a program of the system",
    "printf": "a program of the system",
    "for ": "a loop that writes a file",
    "mkdir": "a program of the system",
    "echo": "a program of the system",
    "python tests/slurm/one_machine.py": "starts Slurm",
    "python -m benchmarks": "takes minutes",
    "python analysis/": "takes minutes",
}
"""Commands that are not parsed, by their beginning."""

MAINS = {
    "python get_activations.py": (stage_one, get_activations.main),
    "python probing_experiment.py": (stage_two, probing_experiment.main),
    "python -m probing_datasets": (make_command, make_command.main),
    "python -m sparse_probing.neurons.export": (export, export.main),
    "python -m sparse_probing.reporting.planted_neurons": (planted_neurons, planted_neurons.main),
}
"""Our commands: the module that parses, and what it runs."""


def blocks(page: Path, languages: tuple[str, ...]) -> list[re.Match[str]]:
    return [match for match in BLOCK.finditer(page.read_text()) if match["language"] in languages]


def commands(code: str) -> list[str]:
    """Return the commands of a block: the lines after ``$``, or all lines when none has one."""
    lines = code.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or [line for line in lines if line.strip() and not line.startswith("#")]


def shell_commands(page: Path) -> list[str]:
    """Return the commands of a page, with the variables that the page itself sets."""
    variables: dict[str, str] = {}
    found: list[str] = []
    for block in blocks(page, SHELL):
        for command in commands(block["code"]):
            if assigned := re.fullmatch(r'(\w+)="(.*)"', command.strip()):
                variables[assigned[1]] = assigned[2]
                continue
            found.append(re.sub(r"\$(\w+)", lambda name: variables.get(name[1], name[0]), command).strip())
    return found


def split_command(command: str) -> tuple[str, list[str]]:
    """Return the name of one of our commands (or an empty one) and its arguments; ``[--flag]`` is an optional flag."""
    words = [word.strip("[]") for word in shlex.split(command, comments=True)]
    if words[:1] == ["nohup"] or re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    for name in MAINS:
        if words[: len(name.split())] == name.split():
            return name, words[len(name.split()) :]
    return "", words


PAGES_WITH_COMMANDS = [page for page in PAGES if shell_commands(page)]


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_shell_command_parses(page, monkeypatch):
    parsed: list[object] = []

    def parse_only(form, *arguments, **further):
        if callable(form) and not isinstance(form, type) and hasattr(form, "__code__"):
            form = functools.wraps(form)(lambda *_, **__: "parsed")  # a sub-command: its arguments, without its work
        parsed.append(command_line.parse(form, *arguments, **further))
        raise KeyboardInterrupt  # ends the command before its work

    for command in shell_commands(page):
        name, arguments = split_command(command)
        if not name:
            assert any(command.startswith(other) for other in NOT_PARSED), f"not parsed, and no reason: {command}"
            continue
        module, main = MAINS[name]
        monkeypatch.setattr(module, "parse", parse_only)
        monkeypatch.setattr(sys, "argv", [name.split()[-1], *arguments])
        parsed.clear()
        assert main() == command_line.INTERRUPTED, command
        assert len(parsed) == 1, command


def test_a_command_with_a_flag_that_does_not_exist_does_not_parse(monkeypatch):
    name, arguments = split_command("python probing_experiment.py --experiment_typ all_neurons")
    monkeypatch.setattr(sys, "argv", ["probing_experiment.py", *arguments])
    with pytest.raises(SystemExit):
        MAINS[name][1]()


def test_every_block_has_a_known_language():
    known = {*SHELL, *PYTHON, *OTHER}
    assert [f"{page}: {m['language']}" for page in PAGES for m in BLOCK.finditer(page.read_text())
            if m["language"] not in known] == []  # fmt: skip


PAGES_WITH_PYTHON = [page for page in PAGES if blocks(page, PYTHON) and page != ROOT / "README.md"]


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """A working folder with two short texts of each language under the name of the pages; the model is loaded once."""
    monkeypatch.setattr("sparse_probing.activations.inputs.load_model", load_model_once)
    for name, folder in (("RESULTS_DIR", "results"), ("FEATURE_DATASET_DIR", "feature_datasets")):
        monkeypatch.setenv(name, folder)
    monkeypatch.chdir(tmp_path)
    small = make_dataset(
        "natural_lang_id", n_sequences=18, min_positives=2, context_length=48, output_dir=tmp_path / "made"
    )
    named = replace(small, description=replace(small.description, name="natural_lang_id.demo.256.-1"))
    save_dataset(named, Path("feature_datasets"), overwrite=False)
    text = "this film has {} good scenes and {} bad ones, as I saw it"
    stars = [{"text": text.format(i, 9 - i % 10), "stars": i % 7} for i in range(90)]
    write_table(tmp_path / "mine.csv", [row | {"group": f"review {i}"} for i, row in enumerate(stars)])
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_runs(page, small_data, monkeypatch, capsys):
    """In the order of the page, with the names of earlier blocks, after the commands of the page for stage 1."""
    for command in shell_commands(page):
        name, arguments = split_command(command)
        if name == "python get_activations.py" and "--feature_dataset" in arguments:
            monkeypatch.setattr(sys, "argv", ["get_activations.py", *arguments])
            assert get_activations.main() == 0, capsys.readouterr().err
    names: dict[str, object] = {}
    for block in blocks(page, PYTHON):
        folder = small_data / (block["folder"] or "")
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        if not (folder / "feature_datasets").exists():
            (folder / "feature_datasets").symlink_to(small_data / "feature_datasets")
        exec(compile(block["code"], f"{page}: {block['code'][:40]}", "exec"), names)  # noqa: S102 (our own pages)
    if page.name == "stage_1.md":
        assert names["X"].shape == (len(names["y"]), 512)
        assert np.isfinite(names["X"]).all()
        assert os.path.isdir(small_data / "notebook" / "results" / "neuron_subset")


def test_every_page_with_code_is_tested():
    """The pages that the tests above run on are those that have code: a page that moves does not lose its tests."""
    named = {str(page.relative_to(ROOT)) for page in (*PAGES_WITH_COMMANDS, *PAGES_WITH_PYTHON)}
    assert {"README.md", "docs/stage_1.md", "docs/stage_2.md", "docs/cluster.md", "experiments/README.md"} <= named
