"""The comparison with sae-probes at a tiny size: tables through stage 1, the peer's recipe, the table of results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks._sae_probes import Table, data_folder, tables
from benchmarks.against_sae_probes import FACTORS, Score, comparison, ours, peer, scale_row, scores_of


def planted_table(name: str = "planted") -> Table:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 10)).astype(np.float32)
    y = np.where(X[:, 3] + 0.5 * rng.standard_normal(120) > 0, 1.0, -1.0)
    return Table(name, X, y, np.arange(120))


def test_tables_become_activations_and_equal_tokens_share_a_group(tmp_path):
    texts = [f"the number {i // 2} is {'odd' if i % 4 < 2 else 'even'}" for i in range(60)]
    frame = pd.DataFrame({"prompt": texts, "prompt_len": 5, "target": [i // 2 % 2 for i in range(60)]})
    (tmp_path / "data").mkdir()
    frame.to_csv(tmp_path / "data" / "1_odd one.csv.zst", index=False)
    frame.assign(target=range(60)).to_csv(tmp_path / "data" / "2_numbers.csv.zst", index=False)
    for _ in range(2):  # the second time from the cache
        (table,) = tables(data_folder(tmp_path / "data"), "demo", 1, "mean", 60, 32, tmp_path / "cache")
        assert table.name == "1_odd_one"
        assert table.X.shape == (60, 512)
        assert len(set(table.group)) == 30
        assert set(table.y) == {-1.0, 1.0}
    with pytest.raises(FileNotFoundError, match="pass --data FOLDER"):
        data_folder(tmp_path)


def test_the_peer_chooses_c_by_its_last_rows_and_fits_all():
    table = planted_table()
    values = peer(table.X, table.y, table.group, table.X)
    fits = [LogisticRegression(C=C, max_iter=1000).fit(table.X, table.y) for C in np.logspace(5, -5, 10)]
    distances = [np.abs(values - fit.decision_function(table.X)).max() for fit in fits]
    assert min(distances) < 1e-6


def test_scores_are_compared_table_by_table():
    probes = {"new": ours("rms", None), "peer": peer}
    scores = scores_of(planted_table(), probes, 0, FACTORS)
    assert {(s.probe, s.factor) for s in scores} == {(name, f) for name in probes for f in FACTORS}
    row = scale_row(scores, "new")
    assert row["x 0.01"] == row["x 1"] == row["x 100"]
    made = [
        Score(table, probe, 1.0, seed, area, 2.0 if probe == "new" else 1.0)
        for seed in range(3)
        for table, new, old in (("a", 0.8, 0.7), ("b", 0.6, 0.7), ("c", 0.705, 0.7))
        for probe, area in (("new", new), ("peer", old))
    ]
    row = comparison(made, "new")
    assert (row["minus peer"], row["worse by > .01"], row["better by > .01"]) == ("+0.0017", "1 of 3", "1 of 3")
    assert row["CPU / peer, median"] == "2.00"
