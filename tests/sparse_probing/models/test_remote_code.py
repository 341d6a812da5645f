"""Python code in the folder of a model: never run without the flag, whatever is typed, and run with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.foundation.errors import ModelError
from probing_datasets.foundation.files.sealed_json import unseal
from sparse_probing.models import load_model
from tests.builders.remote_code import with_remote_code

BOTH_COMMANDS = """
import sys
from probing_datasets.__main__ import main as make
from sparse_probing.commands.get_activations import main as harvest

model, name, *flags = sys.argv[1:]
print("make", make(["make", "natural_lang_id", "--tokenizer", model, "--overwrite", *flags]))
sys.argv = ["get_activations.py", "--model", model, "--feature_dataset", name, "--layers", "1", *flags]
print("harvest", harvest())
"""


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which a question is an error."""

    def refuse(*_args: object) -> str:
        raise AssertionError("this process waits for an answer")

    monkeypatch.setattr("builtins.input", refuse)


def run_both_commands(folder: Path, dataset: Path, tmp_path: Path, *flags: str) -> tuple[str, str]:
    """Run `make` and stage 1 in another process that is answered yes; return its output and what the code wrote."""
    canary = tmp_path / "canary"
    environment = os.environ | {
        "CANARY": str(canary),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path]),
    }
    result = subprocess.run(
        [sys.executable, "-c", BOTH_COMMANDS, str(folder), str(dataset), *flags],
        input="y\n" * 20,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr, canary.read_text() if canary.exists() else ""


@pytest.mark.slow
def test_code_is_run_with_the_flag_only(tiny_model_dir, tiny_dataset_root, tmp_path):
    folder, dataset = with_remote_code(tiny_model_dir, tmp_path / "m"), tiny_dataset_root / "natural_lang_id.tiny.64.-1"
    output, written = run_both_commands(folder, dataset, tmp_path)
    assert written == ""
    assert "[y/N]" not in output
    assert output.count("is defined by Python code in its folder, which was not run") == 2
    assert "make 1" in output
    assert "harvest 1" in output

    output, written = run_both_commands(folder, dataset, tmp_path, "--trust_remote_code")
    assert "make 0" in output
    assert "harvest 0" in output
    assert {line.rpartition(".")[2] for line in written.split()} == {
        "configuration_canary",
        "modeling_canary",
        "tok_canary",
        "generate",
    }
    (description,) = tmp_path.glob("feature_datasets/*/description.json")
    assert unseal(description.read_bytes())["options"]["trust_remote_code"] is True
    (plan,) = tmp_path.glob("results/activations/m/*/*/plan.json")
    assert '"trust_remote_code":true' in plan.read_text().replace(" ", "")


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_a_class_of_transformers_is_used_where_there_is_one(tiny_model_dir, tmp_path, no_answer, own_tokenizer):
    folder = with_remote_code(tiny_model_dir, tmp_path / "m", own_architecture=False, own_tokenizer=own_tokenizer)
    loaded, plain = load_model(str(folder)), load_model(str(tiny_model_dir))
    assert type(loaded.model) is type(plain.model)
    assert loaded.hook_points.keys() == plain.hook_points.keys()


@pytest.mark.parametrize("options", [{}, {"weights": False}, {"random_init": True}])
def test_a_model_that_needs_code_is_refused(tiny_model_dir, tmp_path, no_answer, options):
    folder = with_remote_code(tiny_model_dir, tmp_path / "m", own_tokenizer=False)
    with pytest.raises(ModelError, match=r"defined by Python code in its folder, which was not run.*--trust_remote_"):
        load_model(str(folder), **options)
    with pytest.raises(ModelError, match=r"The tokenizer of .* is defined by Python code"):
        load_tokenizer(str(with_remote_code(tiny_model_dir, tmp_path / "both")))
