"""Settings from the environment and a `.env` file, and that reading them changes nothing in the process."""

import os
from pathlib import Path

import pytest

from probing_datasets.foundation.environment import (
    COMMAND_DEFAULTS,
    DOTENV_VARIABLES,
    fill_environment,
    outside_any_job,
    read_settings,
)
from probing_datasets.foundation.errors import SettingsError
from tests.builders.odd_paths import put_odd

VARIABLES = ("RESULTS_DIR", "FEATURE_DATASET_DIR", "INTERPRETABLE_NEURONS_DIR", "SLURM_CPUS_PER_TASK")
VARIABLES += ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "")  # so that pytest restores the variable, whatever a test sets
        monkeypatch.delenv(variable)


def test_defaults():
    settings = read_settings()
    assert settings.results_dir == Path("results")
    assert settings.feature_dataset_dir == Path("feature_datasets")
    assert settings.interpretable_neurons_dir == Path("interpretable_neurons")
    assert settings.n_cpus >= 1


def test_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("RESULTS_DIR", "~/results")
    monkeypatch.setenv("FEATURE_DATASET_DIR", "")
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", "/neurons")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = read_settings()
    assert settings.results_dir == tmp_path / "results"
    assert settings.feature_dataset_dir == Path("feature_datasets")  # empty is not set
    assert settings.interpretable_neurons_dir == Path("/neurons")


def test_environment_wins_over_dotenv(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("RESULTS_DIR=/from/file\nINTERPRETABLE_NEURONS_DIR=/from/file\n")
    monkeypatch.setenv("RESULTS_DIR", "/from/environment")
    settings = read_settings()
    assert settings.results_dir == Path("/from/environment")
    assert settings.interpretable_neurons_dir == Path("/from/file")


def test_dotenv_of_another_folder_is_not_read(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("RESULTS_DIR=/from/file\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert read_settings().results_dir == Path("results")


@pytest.mark.parametrize("kind", ["pipe", "socket", "/dev/zero", "not UTF-8", "too large"])
def test_a_dotenv_that_is_not_a_text_is_refused(tmp_path, kind):
    path = tmp_path / ".env"
    if kind == "/dev/zero":
        path.symlink_to(kind)
    elif kind == "not UTF-8":
        path.write_bytes(b"RESULTS_DIR=\xff\n")
    elif kind == "too large":
        path.write_text("\n" * (2**20 + 1))
    else:
        put_odd(kind, path)
    with pytest.raises(SettingsError, match=r"\.env cannot be read \(.*\)\. Save it as text in UTF-8"):
        read_settings()


@pytest.mark.parametrize("kind", ["folder", "link to itself"])
def test_a_virtual_environment_is_not_a_dotenv(tmp_path, kind):
    put_odd(kind, tmp_path / ".env")
    assert read_settings().results_dir == Path("results")


def test_cpus_of_a_slurm_task(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "7")
    assert read_settings().n_cpus == 7


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "", "²"])
def test_cpus_that_are_not_a_number(monkeypatch, value):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
    with pytest.raises(SettingsError, match=f"SLURM_CPUS_PER_TASK is '{value}', not a positive whole number"):
        read_settings()


def test_reading_settings_changes_nothing(tmp_path):
    (tmp_path / ".env").write_text("RESULTS_DIR=/from/file\nLD_PRELOAD=/evil.so\nOMP_WAIT_POLICY=ACTIVE\n")
    before = dict(os.environ)
    assert read_settings().results_dir == Path("/from/file")
    assert dict(os.environ) == before


def test_a_command_takes_only_our_variables_from_dotenv(monkeypatch, tmp_path):
    names = [*DOTENV_VARIABLES, "LD_PRELOAD", "PATH", "PYTHONPATH", "SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID"]
    (tmp_path / ".env").write_text("".join(f"{name}=/from/file\n" for name in names))
    for name in (*DOTENV_VARIABLES, *COMMAND_DEFAULTS):
        monkeypatch.setenv(name, "")  # so that pytest restores the variable
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", "/from/environment")
    before = dict(os.environ)
    fill_environment()
    from_file = dict.fromkeys(DOTENV_VARIABLES, "/from/file")
    assert dict(os.environ) == before | from_file | COMMAND_DEFAULTS | {"HF_HOME": "/from/environment"}


def test_what_the_user_decided_stays(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "0")
    before = dict(os.environ)
    fill_environment()
    assert dict(os.environ) == before


def test_a_job_submitted_from_a_job_does_not_inherit_it(monkeypatch):
    inherited = {"SLURM_MEM_PER_CPU": "10", "SBATCH_PARTITION": "gpu", "SUBMITIT_EXECUTOR": "slurm", "SRUN_DEBUG": "3"}
    for variable, value in {**inherited, "SLURM_JOB_ID": "12", "SLURM_CONF": "/etc/slurm.conf"}.items():
        monkeypatch.setenv(variable, value)
    before = dict(os.environ)
    with outside_any_job():
        assert not set(os.environ) & {*inherited, "SLURM_JOB_ID"}
        assert os.environ["SLURM_CONF"] == "/etc/slurm.conf"
    assert dict(os.environ) == before


def test_outside_a_job_what_the_user_set_is_kept(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    with outside_any_job():
        assert os.environ["SBATCH_ACCOUNT"] == "mine"


def test_the_job_and_its_place_in_an_array(monkeypatch):
    assert read_settings().job_id is None
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    assert read_settings().job_id == "15"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert read_settings().job_id == "12_3"
