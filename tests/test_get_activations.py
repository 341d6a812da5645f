"""The script of stage 1 as a person runs it."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import get_activations
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.commands.stores import STORE_COMMANDS
from sparse_probing.config import HarvestConfig
from tests.builders.harvests import file_contents, flip_bit

SCRIPT = Path(get_activations.__file__)


@pytest.fixture
def stage_one(monkeypatch, capsys):
    """A function that runs the script in this process and returns exit status, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, arguments)])
        status = get_activations.main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def flags(tiny_model_dir, tiny_dataset_root, monkeypatch):
    """Flags for the tiny model and data set; folders come from the environment."""
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(tiny_dataset_root))
    names = ["--model", str(tiny_model_dir), "--feature_dataset", "natural_lang_id.tiny.64.-1"]
    return [*names, "--activation_aggregation", "mean"]


@pytest.fixture
def store_path(flags, tiny_harvest):
    return tiny_harvest.with_flags(activation_aggregation="mean").store_folder()


def test_a_harvest_shows_what_it_will_store_and_where(stage_one, flags, store_path):
    status, out, err = stage_one(*flags)
    assert status == 0
    assert out.startswith("270 rows, width mlp.hook_post 48, 2 layers, 1 parts: 0.001 GB needed")
    assert out.endswith(f"complete: {store_path}\n")
    assert err == ""
    assert ZarrStore.open(store_path).is_complete


def test_flags_may_have_underscores_or_hyphens(stage_one, flags):
    assert stage_one(*flags, "--probe_location", "hook_resid_post", "--batch_size", 7)[0] == 0
    status, out, _ = stage_one(*flags, "--probe-location", "hook_resid_post", "--batch-size", 7)
    assert status == 0
    assert "width hook_resid_post 16" in out


def help_text(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *arguments, "--help"])
    with pytest.raises(SystemExit) as stopped:
        get_activations.main()
    assert stopped.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_help_shows_the_values_in_force(monkeypatch, capsys):
    monkeypatch.setenv("RESULTS_DIR", "/my/results")
    monkeypatch.setenv("FEATURE_DATASET_DIR", "/my/sets")
    text = help_text(monkeypatch, capsys)
    for shown in ("(default: /my/results)", "(default: /my/sets)", "(default: mlp.hook_post)", "{none,mean,max,last}"):
        assert shown in text
    for name in HarvestConfig().flags():
        assert f"--{name.replace('_', '-')}" in text.replace("_", "-")


def test_help_names_the_sub_commands(monkeypatch, capsys):
    text = help_text(monkeypatch, capsys)
    for name, command in STORE_COMMANDS.items():
        assert f"{name} {command.__doc__.splitlines()[0]}" in text


def test_verify_has_its_own_help(monkeypatch, capsys):
    assert "with its checksum" in help_text(monkeypatch, capsys, "verify")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no-such-model"], "'no-such-model'"),
        (["--feature_dataset", "none.such"], "There is no feature data set 'none.such'"),
        (["--probe_location", "mlp.hook_pots"], "they have mlp.hook_post, mlp.hook_pre"),
        (["--layers", "5"], "has layers 0 to 1; there is no layer 5"),
        (["--batch_size", "0"], "--batch_size must be at least 1, not 0"),
        (["--device", "cuda:77"], "a device that exists"),
    ],
)
def test_bad_input_is_one_message_and_status_1(stage_one, flags, arguments, message):
    status, out, err = stage_one(*flags, *arguments)
    assert status == 1
    assert message in err
    assert err.startswith("error: ")
    assert out == ""


def test_other_settings_are_refused_until_overwritten(stage_one, flags, store_path):
    assert stage_one(*flags)[0] == 0
    status, _, err = stage_one(*flags, "--output_precision", "bf16")
    assert status == 1
    assert 'precision: "16" -> "bf16"' in err
    assert stage_one(*flags, "--output_precision", "bf16", "--overwrite")[0] == 0
    assert ZarrStore.open(store_path).plan.precision == "bf16"


def test_verify_names_a_flipped_byte_and_the_harvest_repairs_it(stage_one, flags, store_path):
    stage_one(*flags)
    status, out, _ = stage_one("verify", store_path)
    assert status == 0
    assert "1 of 1 parts are there and intact" in out
    shard = store_path / "mlp.hook_post" / "layer_01" / "c.0.0"
    flip_bit(shard, 1000)
    status, out, err = stage_one("verify", store_path)
    assert status == 1
    assert "hook point mlp.hook_post, layer 1, part 0: " in out
    assert str(shard) in out
    assert "1 files of" in err
    assert "Run get_activations.py with the settings of the store and --resume" in err
    assert stage_one(*flags, "--resume")[0] == 0
    assert stage_one("verify", store_path)[0] == 0


def test_verify_without_a_store(stage_one, tmp_path):
    status, _, err = stage_one("verify", tmp_path)
    assert status == 1
    assert "There is no activation store at" in err


def start(arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_then_interrupted_then_finished_gives_the_bytes_of_an_unbroken_run(
    stage_one, tiny_model_dir, tmp_path, monkeypatch
):
    """Four parts, run one sequence at a time so that there is time to strike."""
    make = MakeConfig("natural_lang_id", str(tiny_model_dir), positions_per_sequence=64, output_dir=tmp_path / "sets")
    dataset = make_dataset(make).name
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(make.output_dir))
    arguments = ["--model", str(tiny_model_dir), "--feature_dataset", dataset, "--batch_size", "1"]
    path = HarvestConfig.from_flags(model=str(tiny_model_dir), feature_dataset=dataset).store_folder()
    assert stage_one(*arguments)[0] == 0
    unbroken = file_contents(path)
    shutil.rmtree(path)

    killed = start(arguments)
    wait_for(path / "parts" / "000000.json", killed)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    after_kill = ZarrStore.open(path).open_parts()
    assert after_kill
    assert 0 not in after_kill

    interrupted = start(arguments)
    wait_for(path / "parts" / f"{after_kill[0]:06d}.json", interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, err = interrupted.communicate()
    assert interrupted.returncode == 130
    assert err.splitlines()[-1] == "interrupted: finished work is kept; run the same command again to resume."
    assert "Traceback" not in err
    assert len(ZarrStore.open(path).open_parts()) < len(after_kill)
    assert ZarrStore.open(path).verify() == []

    assert stage_one(*arguments)[0] == 0
    assert file_contents(path) == unbroken
