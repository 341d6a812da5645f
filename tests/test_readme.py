"""The README: its Python runs as it is printed, its links exist."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def run_block(number, monkeypatch, tmp_path) -> dict:
    """Run a Python block of the README; return its names."""
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    for name in ("RESULTS_DIR", "FEATURE_DATASET_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    names: dict = {}
    exec(compile(blocks[number], "README.md", "exec"), names)  # noqa: S102 (our own README)
    return names


@pytest.mark.slow
def test_the_ten_lines_run(monkeypatch, tmp_path, capsys):
    names = run_block(0, monkeypatch, tmp_path)
    best = names["result"].best_neurons()
    assert len(best) == 9
    assert best["test_f1_score"].mean() > 0.9
    assert len(names["figure"].axes) == 9
    assert isinstance(names["neurons"], pd.DataFrame)
    assert "French" in capsys.readouterr().out


@pytest.mark.slow
def test_the_lines_without_a_store_run(monkeypatch, tmp_path, capsys):
    names = run_block(1, monkeypatch, tmp_path)
    metrics = names["run"].metrics
    assert len(metrics) == 4 * 2 * 9
    assert metrics["accuracy"].mean() > metrics["shuffled_accuracy"].mean() + 0.1
    german, english = names["probe"].predict_proba(["Guten Morgen", "Good morning"])
    assert german > english
    assert "shuffled_accuracy" in capsys.readouterr().out
    assert not list((tmp_path / "RESULTS_DIR").rglob("*.npy"))


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
