"""The batch scripts call the two scripts with flags that these have."""

import os
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from tyro.conf import OmitArgPrefixes

import get_activations
from probing_datasets.foundation.command_line import parse
from sparse_probing.commands.get_activations import is_online
from sparse_probing.config import HarvestConfig, HarvestType, OnlineConfig, ProbingConfig

REPOSITORY = Path(get_activations.__file__).parent
SCRIPTS = sorted((REPOSITORY / "experiments" / "batch_scripts").glob("*.sh"))
SETTINGS = {"get_activations.py": HarvestConfig, "probing_experiment.py": ProbingConfig}
ENVIRONMENT = {"MODEL": "my model", "FEATURE_DATASET": "made.tiny.16.-1", "NEURONS": "my neurons.csv"}

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def run(script, folder, *arguments, **environment):
    """Run a script with a Python that prints the arguments it is given."""
    python = folder / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    python.chmod(0o755)
    environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True)


def settings(script, folder, *arguments, **environment):
    """Return the settings that a script asks for, as the real script would parse them."""
    done = run(script, folder, *arguments, **(ENVIRONMENT | environment))
    assert done.returncode == 0, done.stderr
    name, *flags = done.stdout.split("\0")[:-1]
    return parse(OmitArgPrefixes[OnlineConfig if is_online(flags) else SETTINGS[name]], flags)


@every_script
def test_flags_parse(script, tmp_path):
    config = settings(script, tmp_path)
    assert (config.activations.model, config.activations.feature_dataset) == ("my model", "made.tiny.16.-1")
    assert config.activations.activation_aggregation == "none"


@every_script
def test_further_flags_and_the_environment_are_passed_on(script, tmp_path):
    config = settings(script, tmp_path, "--seed", "7", "--layers", "1", "2", PROBE_LOCATION="hook_resid_post")
    assert (config.activations.seed, config.layers, config.activations.probe_location) == (7, (1, 2), "hook_resid_post")


@every_script
@pytest.mark.parametrize("variable", ["MODEL", "FEATURE_DATASET"])
def test_what_has_no_default_is_required(script, variable, tmp_path):
    environment = {name: value for name, value in ENVIRONMENT.items() if name != variable}
    done = run(script, tmp_path, **environment)
    assert done.returncode != 0
    assert f"{variable}: set {variable}, " in done.stderr
    assert done.stdout == ""


@every_script
def test_nothing_points_outside_the_repository(script):
    text = script.read_text().removeprefix("#!/usr/bin/env bash")
    assert not [word for word in text.split() if word.strip("\"'").startswith(("/", "~"))]


@every_script
def test_the_example_of_its_header_names_it(script):
    assert f"experiments/batch_scripts/{script.name}\n" in script.read_text()


def test_every_kind_of_harvest_has_a_script(tmp_path):
    harvests = [script for script in SCRIPTS if "get_activations.py" in script.read_text()]
    types = {settings(script, tmp_path).experiment_type for script in harvests}
    by_flag = {
        settings(
            REPOSITORY / "experiments" / "batch_scripts" / name, tmp_path, "--experiment_type", other
        ).experiment_type
        for name, other in (("harvest.sh", "all_activations"), ("neuron_subset.sh", "activation_subset"))
    }
    assert types | by_flag == {*get_args(HarvestType), "online_probes"}


def test_several_poolings_in_one_variable(tmp_path):
    script = REPOSITORY / "experiments" / "batch_scripts" / "online.sh"
    assert settings(script, tmp_path, POOLING="mean last").pooling == ("mean", "last")
