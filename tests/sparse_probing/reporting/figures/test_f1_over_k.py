import struct

import numpy as np
import pandas as pd
import pytest

from sparse_probing.reporting.figures.f1_over_k import draw_f1_over_k, save_f1_over_k

KS = [1, 2, 4, 8]


def sweep(n_features, n_layers, controls=("", "shuffled_labels"), random_init=False):
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": "tiny",
            "dataset": "made.tiny.16.-1",
            "hook_point": "mlp.hook_post",
            "aggregation": "mean",
            "random_init": random_init,
            "feature": f"feature {feature}",
            "layer": layer,
            "control": control,
            "k": k,
            "test_f1_score": rng.random(),
        }
        for feature in range(n_features)
        for layer in range(n_layers)
        for control in controls
        for k in reversed(KS)
    ]
    return pd.DataFrame(rows)


def visible_panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


@pytest.mark.parametrize("n_features", [1, 3, 5])
def test_one_panel_per_feature_and_one_line_per_layer_and_control(n_features):
    panels = visible_panels(draw_f1_over_k(sweep(n_features, n_layers=2)))
    assert [panel.get_title() for panel in panels] == [f"feature {i}" for i in range(n_features)]
    assert [len(panel.lines) for panel in panels] == [4] * n_features


def test_lines_are_the_scores_in_the_order_of_k():
    results = sweep(2, n_layers=3, controls=("",))
    (_, panel) = visible_panels(draw_f1_over_k(results))
    for layer, line in enumerate(panel.lines):
        rows = results[(results["feature"] == "feature 1") & (results["layer"] == layer)]
        assert list(np.asarray(line.get_xdata())) == KS
        assert list(np.asarray(line.get_ydata())) == rows["test_f1_score"].tolist()[::-1]


def test_every_layer_is_in_the_legend_once_and_the_control_too():
    (legend,) = draw_f1_over_k(sweep(4, n_layers=3)).legends
    names = sorted(text.get_text() for text in legend.get_texts())
    assert names == ["layer 0", "layer 1", "layer 2", "shuffled labels"]


def test_the_title_names_model_data_and_random_weights():
    assert draw_f1_over_k(sweep(1, 1)).get_suptitle() == "tiny: made.tiny.16.-1, mlp.hook_post, mean"
    assert "tiny (random weights):" in draw_f1_over_k(sweep(1, 1, random_init=True)).get_suptitle()


def test_the_saved_file_is_a_png_of_the_size_of_the_figure(tmp_path):
    results = sweep(4, 2)
    save_f1_over_k(results, tmp_path / "figure.png")
    data = (tmp_path / "figure.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = draw_f1_over_k(results).get_size_inches() * 150
    assert struct.unpack(">II", data[16:24]) == pytest.approx((width, height), abs=1)
    assert not list(tmp_path.glob(".tmp-*"))
