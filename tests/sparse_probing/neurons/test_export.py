"""Export of ranked neurons: the CSV, its checksum, the command line, and the files of this repository."""

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from probing_datasets.foundation.errors import TaskError
from sparse_probing.activations.harvest import harvest
from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.neurons.export import export_neurons, main
from sparse_probing.neurons.ranked_neurons import CSV_COLUMNS
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.tasks.published_results import task_folder

SHIPPED = Path(__file__).parents[3] / "interpretable_neurons"


@pytest.fixture
def run(tiny_harvest: HarvestConfig) -> Run:
    harvest(tiny_harvest)
    return run_probing(
        ProbingConfig.from_flags(
            **asdict(tiny_harvest.activations), experiment_type=("enumerate_monosemantic",), cluster="debug"
        )
    )


def checks_out(root: Path) -> bool:
    """Return whether the command that SCHEMA.md names accepts the checksums."""
    return (
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=root, capture_output=True).returncode
        == 0
    )


def test_export_writes_the_csv_and_a_checksum_that_notices_an_edit(run: Run, tmp_path: Path):
    path = export_neurons(run.path, tmp_path / "neurons")
    name = "natural_lang_id.tiny.64.-1.mlp.hook_post.none.enumerate_monosemantic.csv"
    assert path == tmp_path / "neurons/tiny" / name
    assert checks_out(tmp_path / "neurons")
    path.write_text(path.read_text() + "\n")
    assert not checks_out(tmp_path / "neurons")


def test_a_run_with_a_missing_task_is_not_exported(run: Run, tmp_path: Path):
    shutil.rmtree(task_folder(run.path, next(iter(run.tasks))))
    with pytest.raises(TaskError, match="1 of 2 tasks of .* are not finished"):
        export_neurons(run.path, tmp_path / "neurons")
    assert not (tmp_path / "neurons").exists()


def test_command_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("sys.argv", ["export", str(run.path)])
    assert main() == 0
    assert len(list((tmp_path / "elsewhere").rglob("*.csv"))) == 1
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path)])
    assert main() == 1
    assert "is not the folder of a run" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["export"])
    assert main() == 1
    assert "Name at least one folder" in capsys.readouterr().err


def test_shipped_csvs_are_intact_and_have_the_documented_columns():
    assert checks_out(SHIPPED)
    schema = (SHIPPED / "SCHEMA.md").read_text()
    paths = list(SHIPPED.rglob("*.csv"))
    assert paths
    for path in paths:
        assert tuple(pd.read_csv(path, nrows=1).columns) == CSV_COLUMNS
    assert all(f"`{column}`" in schema for column in CSV_COLUMNS)
