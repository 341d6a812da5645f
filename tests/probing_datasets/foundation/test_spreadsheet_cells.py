"""Texts in CSV files: harmless in a spreadsheet, and read back exactly."""

import io

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing_datasets.foundation.spreadsheet_cells import cell_text, csv_bytes, safe_cell

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'", "'=1", "''", "\uff1d1"]
)


@given(texts)
def test_a_cell_is_harmless_and_its_text_is_read_exactly(text):
    assert not safe_cell(text).startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
    assert cell_text(safe_cell(text)) == text


@settings(max_examples=50)
@given(st.lists(texts, min_size=1))
def test_a_file_is_read_exactly(values):
    content = csv_bytes(pd.DataFrame({"text": values, "number": [-1.5] * len(values)}))
    read = pd.read_csv(io.BytesIO(content), keep_default_na=False, dtype={"text": str})
    assert [cell_text(cell) for cell in read["text"]] == values
    assert read["number"].tolist() == [-1.5] * len(values)


@pytest.mark.parametrize("value", [None, float("nan"), -1, True])
def test_what_is_not_a_text_is_written_as_it_is(value):
    plain = pd.DataFrame({"a": ["x", value]})
    assert csv_bytes(plain) == plain.to_csv(index=False, lineterminator="\n").encode()
