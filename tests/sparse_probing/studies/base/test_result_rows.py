"""Rows of results: exact in and out of parquet, with all columns, each with a meaning."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probing_datasets.foundation.errors import DamagedFileError
from sparse_probing.studies.base.result_rows import (
    COLUMNS,
    METRICS,
    SCHEMA,
    FittedProbe,
    filled_columns,
    read_rows,
    write_rows,
)

PROBE = FittedProbe(
    probe="logistic",
    ranking="mean_dif",
    support=np.array([7, 2]),
    coef=np.array([1 / 3, -1e-17]),
    intercept=0.1,
    objective=2.5,
    iterations=6,
    converged=True,
    status="Converged.",
    further={"newton_decrement": 1e-12},
    metrics={f"{part}_{name}": 0.5 for part in ("train", "test") for name in METRICS},
)


def row(**changes):
    """Return a full row; columns that the probe does not fill get a value of their type."""
    blank = {pa.string(): "x", pa.bool_(): False, pa.int32(): 1, pa.int64(): 2, pa.float64(): 1.0, pa.binary(): b"x"}
    for kind in list(blank):
        blank[pa.list_(kind)] = [blank[kind]]
    blank[pa.list_(pa.list_(pa.int32()))] = [[1]]
    common = {name: blank[kind] for name, (kind, _) in COLUMNS.items() if kind in blank}
    return {**common, **PROBE.as_row(), **changes}


def test_rows_are_read_exactly_as_written(tmp_path):
    write_rows([row(), row(layer=3, feature="Ünïcode")], tmp_path / "rows.parquet")
    table = read_rows([tmp_path / "rows.parquet"])
    assert list(table.columns) == list(COLUMNS)
    assert table["layer"].tolist() == [1, 3]
    assert table["feature"].tolist() == ["x", "Ünïcode"]
    assert table["support"][0].tolist() == [7, 2]
    assert table["coef"][0].tolist() == [1 / 3, -1e-17]
    assert table["k"].tolist() == [2, 2]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_rows([row(), row(seed=9)], tmp_path / name)
    write_rows([row(), row(seed=8)], tmp_path / "control")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "control").read_bytes()


def test_several_files_are_one_table_in_order(tmp_path):
    paths = [tmp_path / "1", tmp_path / "2"]
    write_rows([row(seed=1)], paths[0])
    write_rows([row(seed=2), row(seed=3)], paths[1])
    assert read_rows(paths)["seed"].tolist() == [1, 2, 3]


def test_no_rows_still_have_all_columns(tmp_path):
    write_rows([], tmp_path / "none")
    for paths in ([], [tmp_path / "none"]):
        table = read_rows(paths)
        assert table.empty
        assert list(table.columns) == list(COLUMNS)


def test_a_column_that_does_not_apply_is_null(tmp_path):
    incomplete = row()
    del incomplete["p_value"]
    write_rows([incomplete], tmp_path / "rows")
    table = read_rows([tmp_path / "rows"])
    assert table["p_value"].isna().all()
    assert list(table.columns) == list(COLUMNS)


def test_a_column_that_no_row_fills_is_in_no_published_table(tmp_path):
    incomplete = row()
    del incomplete["p_value"]
    write_rows([incomplete, row(train_r2=None)], tmp_path / "some")
    write_rows([incomplete, incomplete], tmp_path / "none")
    assert "p_value" in pq.read_schema(tmp_path / "some").names
    assert "p_value" not in pq.read_schema(tmp_path / "none").names
    both = read_rows([tmp_path / "some", tmp_path / "none"])
    assert both["p_value"].notna().tolist() == [False, True, False, False]
    assert list(filled_columns(both).columns) == list(COLUMNS)
    assert "p_value" not in filled_columns(read_rows([tmp_path / "none"])).columns
    assert list(filled_columns(read_rows([])).columns) == list(COLUMNS)


def test_an_unknown_column_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="does not define: stauts"):
        write_rows([row(stauts="misspelt")], tmp_path / "rows")


def test_every_column_has_a_meaning():
    assert all(meaning for _, meaning in COLUMNS.values())
    assert set(dataclasses.asdict(PROBE)) - {"metrics", "further"} <= set(SCHEMA.names)


def other_types(path):
    pq.write_table(pa.table({"layer": [[1.5]]}), path)


def text_that_is_not_utf8(path):
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    pq.write_table(pa.table({"feature": text}), path)


@pytest.mark.parametrize(
    "write", [lambda path: path.write_bytes(b"PAR1xxxx"), lambda path: path.touch(), other_types, text_that_is_not_utf8]
)
def test_a_file_that_has_no_rows_is_named(tmp_path, write):
    path = tmp_path / "rows.parquet"
    write(path)
    for file in (path, (path, path.read_bytes())):
        with pytest.raises(DamagedFileError, match=r"rows.parquet is damaged: .* Delete .*, and run the same command"):
            read_rows([file])
