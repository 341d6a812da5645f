"""The sub-commands of get_activations.py, as a person runs them."""

import json
import sys

import numpy as np
import pytest

import get_activations
from sparse_probing.activations.stores import STORES, open_store
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.tables import result_folder
from sparse_probing.config import HarvestConfig


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs the script in this process and returns exit status, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["get_activations.py", *map(str, arguments)])
        status = get_activations.main()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def make_store(tmp_path):
    plan = StorePlan({"model": "gpt2"}, (0, 1), ("h",), {"h": 20}, n_rows=10, part_rows=4, precision="32")

    def make(name, parts):
        store = STORES["zarr"].create(tmp_path / name, plan, np.arange(10), np.arange(10))
        for part in parts:
            start, stop = plan.part_range(part)
            values = np.random.default_rng(part).standard_normal((stop - start, 20)).astype(np.float32)
            store.write_part(part, {("h", 0): values, ("h", 1): values})
        return store

    return make


def one_line_error(err):
    return err.startswith("error: ") and err.count("\n") == 1


def test_verify_reports_finished_and_missing_parts(command, make_store):
    store = make_store("a", [0, 1])
    status, out, err = command("verify", store.path)
    assert (status, err) == (0, "")
    assert out == f"{store.path}: 2 of 3 parts are there (missing: 2) and intact.\n"


def test_verify_names_damage(command, make_store):
    store = make_store("a", [0, 1, 2])
    (store.path / next(iter(store._part_files(1)))).write_bytes(b"")
    (store.path / "parts/000002.json").write_bytes(b"")
    status, out, err = command("verify", store.path)
    assert status == 1
    assert "hook point h, layer 0, part 1: " in out
    assert out.count("\n") == 2
    assert one_line_error(err)
    assert "2 files of" in err
    assert "--resume" in err


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    plan = {"algorithm_version": 1}
    result_folder.create_or_resume_folder(folder, plan, overwrite=False, resume=False)
    with result_folder.recorded_files(folder, plan).write("layer_00.parquet") as temporary:
        temporary.write_bytes(b"rows")
    config = HarvestConfig.from_flags(experiment_type="full_activation_histogram")
    result_folder.complete_folder(folder, config.record(), ["layer_00.parquet"], {})
    return folder


def test_verify_tables(command, tables):
    intact = f"{tables}: all 1 files of full_activation_histogram exist and are intact.\n"
    assert command("verify", tables) == (0, intact, "")
    (tables / "layer_00.parquet").write_bytes(b"r0ws")
    status, out, err = command("verify", tables)
    assert (status, out) == (1, f"{tables / 'layer_00.parquet'}: checksum differs\n")
    assert one_line_error(err)
    assert "--resume" in err


def test_incomplete_tables_cannot_be_verified(command, tables):
    (tables / "description.json").unlink()
    status, _, err = command("verify", tables)
    assert status == 1
    assert "holds incomplete tables" in err


@pytest.mark.parametrize("arguments", [["describe", None], ["convert", None, "x"], ["merge", None, "x"]])
def test_tables_are_not_a_store(command, tables, arguments):
    status, _, err = command(*(tables if argument is None else argument for argument in arguments))
    assert status == 1
    assert "holds tables of experiment full_activation_histogram, not a store" in err
    assert one_line_error(err)


def test_describe(command, make_store):
    store = make_store("a", [1])
    status, out, _ = command("describe", store.path)
    assert status == 0
    assert "1 of 3" in out
    assert "gpt2" in out
    status, out, _ = command("describe", store.path, "--json")
    assert json.loads(out)["missing"] == [[0, 0], [2, 2]]


def test_convert(command, make_store, tmp_path):
    store = make_store("a", [0, 1, 2])
    flags = ["--store", "hdf5", "--output_precision", "16"]
    status, out, _ = command("convert", store.path, tmp_path / "b", *flags)
    assert (status, out) == (0, f"complete: {tmp_path / 'b'}\n")
    half = open_store(tmp_path / "b")
    assert (half.kind, half.plan.precision) == ("hdf5", "16")
    assert np.array_equal(half.read(1, dtype=np.float32), store.read(1).astype(np.float16).astype(np.float32))


def test_merge(command, make_store, tmp_path):
    parts = [make_store("a", [0]), make_store("b", [2])]
    status, out, _ = command("merge", *(store.path for store in parts), tmp_path / "c")
    assert (status, out) == (0, f"{tmp_path / 'c'}: 2 of 3 parts are there (missing: 1).\n")
    assert open_store(tmp_path / "c").open_parts() == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "nowhere"], "no activation store at nowhere"),
        (["describe", "nowhere"], "no activation store at nowhere"),
        (["describe", "foo://x"], "neither a folder nor a URL"),
        (["convert", "nowhere", "x"], "no activation store at nowhere"),
        (["merge", "nowhere"], "merge takes the stores to merge"),
        (["merge", "nowhere", "x"], "no activation store at nowhere"),
    ],
)
def test_bad_input_is_one_line(command, arguments, message):
    status, out, err = command(*arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert one_line_error(err)


def test_unfinished_sources_are_not_converted(command, make_store, tmp_path):
    status, _, err = command("convert", make_store("a", [0]).path, tmp_path / "b")
    assert status == 1
    assert "unfinished: 2 of 3 parts" in err
    assert one_line_error(err)


@pytest.mark.parametrize("name", ["verify", "describe", "convert", "merge"])
def test_help(command, capsys, name):
    with pytest.raises(SystemExit) as stopped:
        command(name, "--help")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"get_activations.py {name}" in text
    assert "Folder" in text
