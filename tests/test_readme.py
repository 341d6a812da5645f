"""The README: its Python runs as it is printed, its links exist."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_ten_lines_run(monkeypatch, tmp_path, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    for name in ("RESULTS_DIR", "FEATURE_DATASET_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 (our own README)
    best = names["result"].best_neurons()
    assert len(best) == 9
    assert best["test_f1_score"].mean() > 0.9
    assert len(names["figure"].axes) == 9
    assert isinstance(names["neurons"], pd.DataFrame)
    assert "French" in capsys.readouterr().out


def test_every_file_it_links_to_exists():
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert local
    assert [link for link in local if link and not (ROOT / link).exists()] == []
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", README, re.M)
    }
    anchors = [link[1:] for link in links if link.startswith("#")]
    assert set(anchors) <= headings
