"""The figure of F1 over k: its panels, lines, legend and title, from rows or from a run."""

import numpy as np
import pytest

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.reporting.figures.f1_over_k import f1_over_k
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from tests.builders.studies import SWEPT, sweep_rows


def visible_panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


@pytest.mark.parametrize("n_features", [1, 3, 5])
def test_one_panel_per_feature_and_one_line_per_layer_and_control(n_features):
    panels = visible_panels(f1_over_k(sweep_rows(n_features, n_layers=2)))
    assert [panel.get_title() for panel in panels] == [f"feature {i}" for i in range(n_features)]
    assert [len(panel.lines) for panel in panels] == [4] * n_features


def test_lines_are_the_scores_in_the_order_of_k():
    results = sweep_rows(2, n_layers=3, controls=("",))
    (_, panel) = visible_panels(f1_over_k(results))
    for layer, line in enumerate(panel.lines):
        rows = results[(results["feature"] == "feature 1") & (results["layer"] == layer)]
        assert list(np.asarray(line.get_xdata())) == SWEPT
        assert list(np.asarray(line.get_ydata())) == rows["test_f1_score"].tolist()[::-1]


def test_every_layer_is_in_the_legend_once_and_the_control_too():
    (legend,) = f1_over_k(sweep_rows(4, n_layers=3)).legends
    names = sorted(text.get_text() for text in legend.get_texts())
    assert names == ["layer 0", "layer 1", "layer 2", "shuffled labels"]


def test_the_title_names_model_data_and_random_weights():
    assert f1_over_k(sweep_rows(1, 1)).get_suptitle() == "tiny: made.tiny.16.-1, mlp.hook_post, mean"
    assert "tiny (random weights):" in f1_over_k(sweep_rows(1, 1, random_init=True)).get_suptitle()


def test_rows_without_a_model_have_a_title_without_one():
    rows = sweep_rows(1, 1).assign(model="", hook_point="", aggregation="")
    assert f1_over_k(rows).get_suptitle() == "made.tiny.16.-1"


def test_labels_that_are_not_formulas_are_drawn_as_they_are(tmp_path):
    label = r"$\frac{ costs $"
    rows = sweep_rows(1, 1).assign(feature=label, dataset=label)
    figure = f1_over_k(rows)
    figure.savefig(tmp_path / "figure.png", dpi=20)
    assert [panel.get_title() for panel in figure.axes] == [label]
    assert label in figure.get_suptitle()


def test_without_any_probe_there_is_nothing_to_draw():
    with pytest.raises(SettingsError, match="There is no probe to draw"):
        f1_over_k(sweep_rows(1, 1).iloc[:0])


def test_a_run_is_drawn_like_its_rows(plant):
    run = run_probing(plant().with_flags(layers=(1,)))
    figures = [f1_over_k(results) for results in (run, run.path, load_results(run))]
    lines = [
        [np.asarray(line.get_xydata()).tolist() for panel in figure.axes for line in panel.lines] for figure in figures
    ]
    assert lines[0] == lines[1] == lines[2]
    assert [panel.get_title() for panel in figures[0].axes] == ["strong", "weak"]
