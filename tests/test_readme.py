"""The code that the README shows runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.slow
def test_notebook_lines():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 (our own README)
    assert isinstance(names["results"], pd.DataFrame)
    assert set(names["results"]["layer"]) == {0, 1, 2, 3}
    assert names["activations"].shape == (270, 2)
    assert names["activations"].dtype == np.float32


def test_every_file_it_links_to_exists():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (Path(__file__).parents[1] / link).exists()] == []


def test_nothing_is_left_to_be_filled_in():
    assert "DEMO_" not in README
