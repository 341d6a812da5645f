"""The benchmark of making data sets at a tiny size: sizes, speed, memory."""

import json

import pytest

from benchmarks.making_datasets import MakingConfig, compare, compare_formats, compare_memory
from probing_datasets.demo import DEMO_TEXTS
from probing_datasets.foundation.errors import SettingsError


@pytest.mark.slow
def test_every_row_reports_the_sizes_of_a_data_set() -> None:
    config = MakingConfig(collections=("text_features", "distribution_id"), n_sequences=150, context_length=64)
    rows = compare(config)
    texts = [json.loads(line)["text"] for line in DEMO_TEXTS["natural_lang_id"].open(encoding="utf-8")]
    for row in rows:
        assert row["sequences"] == "150"
        assert row["text, MB"] == f"{sum(len(text.encode()) for text in texts) / 1e6:.1f}"
        assert float(str(row["MB / CPU s"])) > 0
        assert float(str(row["peak, MB"])) > 0
    assert [row["features"] for row in rows][1] == 3


@pytest.mark.slow
def test_memory_is_measured_of_growing_sources() -> None:
    config = MakingConfig(collections=("position",), n_sequences=40, context_length=64, copies=(1, 3))
    small, large = compare_memory(config)
    assert (small["source, MB of text"], large["source, MB of text"]) == ("0.1", "0.3")
    assert float(str(large["peak, MB"])) < 2 * float(str(small["peak, MB"]))


@pytest.mark.slow
def test_every_format_has_the_same_rows() -> None:
    rows = compare_formats(MakingConfig(copies=(1, 2)))
    n_rows = 2 * sum(1 for _ in DEMO_TEXTS["natural_lang_id"].open(encoding="utf-8"))
    assert [(row["format"], row["rows"]) for row in rows] == [
        (suffix, f"{n_rows:,}") for suffix in (".csv", ".jsonl", ".json", ".parquet", ".feather")
    ]


def test_unknown_collection() -> None:
    with pytest.raises(SettingsError, match="There is no collection nothing; there are: natural_lang_id"):
        compare(MakingConfig(collections=("nothing",)))
