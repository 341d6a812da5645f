"""What is missing is reported before torch, transformers or a study is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
sys.argv = ["{script}.py", *{arguments}]
import {script}
status = {script}.main()
print(*sys.modules)
sys.exit(status)
"""
HEAVY = {"torch", "transformers", "transformer_lens", "scipy", "sklearn", "datasets"}
SUBSET = ["--experiment_type", "neuron_subset", "--neuron_subset_file"]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("get_activations", ["--feature_dataset", "none"], "There is no feature data set 'none'"),
        ("get_activations", ["--model", "/none"], "There is no folder '/none' of a model"),
        ("get_activations", ["--model", "some/name"], "'some/name' is not in the cache of Hugging Face"),
        ("get_activations", [*SUBSET, "none.csv"], "--neuron_subset_file none.csv cannot be read"),
        ("probing_experiment", ["--feature_dataset", "none"], "There is no feature data set 'none'"),
        ("probing_experiment", ["--model", "some/name"], "There is no activation store in"),
        ("probing_experiment", ["--harvest", "--model", "some/name"], "is not in the cache of Hugging Face"),
    ],
)
def test_what_is_missing_is_reported_at_once(script, arguments, message, tmp_path, tiny_dataset_root):
    name = "natural_lang_id.tiny.64.-1"
    arguments = ["--feature_dataset", name, *arguments]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "FEATURE_DATASET_DIR": str(tiny_dataset_root),
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }
    program = PROGRAM.format(script=script, arguments=arguments)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert not set(done.stdout.split()) & HEAVY
