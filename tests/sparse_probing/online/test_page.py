"""The page on online probes names every flag of the command and every column of the metrics frame."""

from pathlib import Path

import pytest

from sparse_probing.config import OnlineConfig
from sparse_probing.online.metrics import COLUMNS, CONTROLLED, FURTHER, MEASURES

PAGE = (Path(__file__).parents[3] / "docs" / "online_probes.md").read_text()


@pytest.mark.parametrize("flag", OnlineConfig().flags())
def test_every_flag_is_named(flag):
    assert f"`--{flag}`" in PAGE or f"--{flag} " in PAGE


def test_every_column_is_named():
    columns = {*COLUMNS, *MEASURES, *(f"shuffled_{name}" for name in CONTROLLED), *FURTHER}
    assert [name for name in sorted(columns) if f"`{name}`" not in PAGE] == []
