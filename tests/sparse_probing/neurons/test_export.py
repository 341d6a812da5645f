"""Export of ranked neurons: the CSV, its checksum, the command line, and the files of this repository."""

import hashlib
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probing_datasets.foundation.errors import DamagedFileError, TableError, TaskError
from probing_datasets.foundation.files.sealed_json import read_sealed, write_sealed
from sparse_probing.activations.harvest import harvest
from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.config.result_folders import exported_table, store_folder, tables_folder
from sparse_probing.neurons.export import TableRecord, export_neurons, further_settings, main
from sparse_probing.neurons.load import load_neurons, read_checksums
from sparse_probing.neurons.ranked_neurons import CSV_COLUMNS
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.planning.run_record import Run, settings_folder
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


@pytest.fixture
def exported(plant, tmp_path):
    """A function that runs a study of planted neurons with further settings, and exports it."""
    config = plant().with_flags(experiment_type=("enumerate_monosemantic",), controls=(), layers=(1,))

    def export(top=100, **flags):
        return export_neurons(run_probing(config.with_flags(**flags)).path, tmp_path / "neurons", top)

    return export


def test_tables_of_other_settings_have_other_names_and_a_record_of_them(exported, tmp_path):
    paths = [exported(), exported(seed=1), exported(regularization=2.0), exported(top=3)]
    paths.append(exported(heuristic_feature_selection_method="f_stat"))
    assert len(set(paths)) == len(paths)
    assert len(list((tmp_path / "neurons").rglob("*.csv"))) == len(paths)
    assert exported(experiment_name="other", features_per_task=2) == paths[0]
    records = [read_sealed(path.with_suffix(".json"), TableRecord) for path in paths]
    assert [record.settings["seed"] for record in records] == [0, 1, 0, 0, 0]
    assert [record.settings["top"] for record in records] == [100, 100, 100, 3, 100]
    assert records[2].settings["regularization"] == 2.0
    for path, record in zip(paths, records, strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256
        assert record.versions[0]["python"]
        assert "results_dir" not in record.settings
    assert checks_out(tmp_path / "neurons")


def test_settings_with_their_defaults_give_the_readable_name():
    config = ProbingConfig.from_flags(
        model="demo", activation_aggregation="mean", experiment_type=("all_neurons",), random_init=True, seed=3
    )
    assert further_settings(config, 100) == {}
    name = exported_table(config.activations, config.experiment_type, "")
    assert name.as_posix() == ("demo+random3/natural_lang_id.demo.256.-1.mlp.hook_post.mean.all_neurons.csv")
    assert further_settings(config.with_flags(random_init=False), 20) == {"seed": 3, "top": 20}


def test_another_table_of_the_same_name_is_not_replaced_silently(exported):
    path = exported()
    content = path.read_bytes()
    assert exported() == path
    path.write_bytes(content + b"\n")
    with pytest.raises(TableError, match="has another table, so nothing was written. Export with --overwrite"):
        exported()
    record = read_sealed(path.with_suffix(".json"), TableRecord)
    write_sealed(path.with_suffix(".json"), replace(record, activations="0", settings=record.settings | {"seed": 9}))
    with pytest.raises(TableError, match="has another table, of a run with other seed, activations, so nothing"):
        exported()
    assert path.read_bytes() == content + b"\n"


def test_a_damaged_table_gets_no_new_checksum_when_another_is_exported(exported, tmp_path):
    damaged = exported()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    exported(seed=1)
    assert not checks_out(tmp_path / "neurons")
    damaged.unlink()
    exported(seed=1)
    assert checks_out(tmp_path / "neurons")


@pytest.mark.parametrize(
    "flags",
    [
        {"probe_location": "../../../../x"},
        {"model": ".."},
        {"revision": ".."},
        {"feature_dataset": "a/.."},
        {"probe_location": "a\x1b[31m"},
        {"feature_dataset": "x" * 300},
    ],
)
def test_no_setting_of_a_run_leads_out_of_the_folder(flags):
    config = ProbingConfig.from_flags(**flags)
    for name_folder in (
        lambda: exported_table(config.activations, config.experiment_type, ""),
        lambda: settings_folder(config),
        lambda: store_folder(config.activations),
        lambda: tables_folder(config.activations, "activation_subset", config.activations.probe_location),
    ):
        if flags.get("revision"):
            assert ".." not in name_folder().parts
        else:
            with pytest.raises(DamagedFileError, match="cannot be the name of a file"):
                name_folder()


def test_features_that_look_like_formulas_are_harmless_in_the_csv_and_read_exactly(plant, tmp_path):
    labels = {name: np.where(np.arange(80) // 2 % 2, 1.0, -1.0) for name in ("=1+1", "@x", "'quoted", "-2")}
    config = plant(**labels).with_flags(experiment_type=("enumerate_monosemantic",), controls=(), layers=(1,))
    path = export_neurons(run_probing(config).path, tmp_path / "neurons")
    cells = pd.read_csv(path, dtype=str)["feature"]
    assert not cells.str.match(r"[=+\-@]").any()
    table = load_neurons("tiny", folder=tmp_path / "neurons")
    assert set(table["feature"]) == {*labels, "strong", "weak"}
    assert load_neurons("tiny", feature="=1+1", folder=tmp_path / "neurons")["feature"].unique() == ["=1+1"]


def test_a_run_with_a_missing_task_is_not_exported(run: Run, tmp_path: Path):
    shutil.rmtree(task_folder(run.path, next(iter(run.tasks))))
    with pytest.raises(TaskError, match="1 of 2 tasks of .* are not finished"):
        export_neurons(run.path, tmp_path / "neurons")
    assert not (tmp_path / "neurons").exists()


def test_a_pipe_in_place_of_a_table_does_not_block(run: Run, tmp_path: Path):
    path = export_neurons(run.path, tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(TableError, match="has another table"):
        export_neurons(run.path, tmp_path)
    export_neurons(run.path, tmp_path, overwrite=True)
    assert path.is_file()
    assert checks_out(tmp_path)


def test_command_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("sys.argv", ["export", str(run.path)])
    assert main() == 0
    assert len(list((tmp_path / "elsewhere").rglob("*.csv"))) == 1
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path)])
    assert main() == 1
    assert "is not the folder of a run" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "elsewhere")
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path), str(run.path)])
    assert main() == 1
    assert f"{tmp_path} is not the folder of a run" in capsys.readouterr().err
    assert len(list((tmp_path / "elsewhere").rglob("*.csv"))) == 1  # the others are exported
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


def test_exports_at_the_same_time_lose_no_checksum(plant, tmp_path, monkeypatch):
    config = plant().with_flags(experiment_type=("enumerate_monosemantic",), controls=(), layers=(1,))
    run, root = run_probing(config), tmp_path / "neurons"

    def read_slowly(folder):
        sums = read_checksums(folder)
        time.sleep(0.1)
        return sums

    monkeypatch.setattr("sparse_probing.neurons.export.read_checksums", read_slowly)
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(lambda top: export_neurons(run.path, root, top), range(1, 5)))
    assert set(read_checksums(root)) == {path.relative_to(root).as_posix() for path in paths}
    assert checks_out(root)
