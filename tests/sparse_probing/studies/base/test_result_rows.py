"""Rows of results: exact in and out of parquet, with all columns, each with a meaning."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from sparse_probing.studies.base.result_rows import COLUMNS, METRICS, SCHEMA, FittedProbe, read_rows, write_rows

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
    blank = {pa.string(): "x", pa.bool_(): False, pa.int32(): 1, pa.int64(): 2, pa.float64(): 1.0}
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
    assert read_rows([tmp_path / "rows"])["p_value"].isna().all()


def test_an_unknown_column_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="does not define: stauts"):
        write_rows([row(stauts="misspelt")], tmp_path / "rows")


def test_every_column_has_a_meaning():
    assert all(meaning for _, meaning in COLUMNS.values())
    assert set(dataclasses.asdict(PROBE)) - {"metrics", "further"} <= set(SCHEMA.names)
