"""The report of a run: its tables, the CSV of neurons, and the figure where one shows everything."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.reporting.figures.f1_over_k import MOST_PANELS, f1_over_k
from sparse_probing.reporting.report import print_neurons, print_scores, report, shown_probes
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results
from tests.builders.studies import single_neuron_row, sweep_rows


def reported(config):
    """Run, report, and return the names of the written files and the printed text."""
    output = io.StringIO()
    run = run_probing(config)
    written = report(run, Console(file=output, width=140))
    return [path.relative_to(run.path).name for path in written], output.getvalue()


@pytest.fixture
def config(plant):
    return plant()


def test_single_neurons_give_a_table_and_a_csv(config):
    written, text = reported(config.with_flags(experiment_type=("enumerate_monosemantic",)))
    assert written == ["ranked_neurons.csv"]
    (line,) = [line.split() for line in text.splitlines() if "L1.5" in line]
    assert line[:2] == ["strong", "+L1.5"]
    weak = next(line for line in text.splitlines() if line.startswith("weak"))
    assert ("none found" in weak) == ("weak: no neuron found" in text)
    assert "ranked_neurons.csv" in text


def test_a_sweep_gives_a_figure_too(config):
    written, text = reported(config)
    assert written == ["ranked_neurons.csv", "f1_over_k.png"]
    assert "L0.7" in text


def test_files_are_written_before_anything_is_printed(config):
    """A reader such as `head` may close the pipe after the first line."""
    run, seen = run_probing(config), []

    class Pipe(io.StringIO):
        def write(self, text):
            seen.append({"ranked_neurons.csv", "f1_over_k.png"} <= {path.name for path in run.path.iterdir()})
            return super().write(text)

    report(run, Console(file=Pipe(), width=80))
    assert seen
    assert all(seen)


def test_dense_probes_give_a_table_by_layer(config):
    written, text = reported(config.with_flags(experiment_type=("dense_probe",)))
    assert written == []
    assert "layer 0" in text
    assert "layer 1" in text
    strong = next(line for line in text.splitlines() if "strong" in line)
    assert float(strong.split()[2]) > 0.95 > float(strong.split()[1])


def test_optimal_probes_are_shown_without_their_refits_and_ridges_not_chosen(config):
    config = config.with_flags(layers=(1,), osp_upto_k=2, controls=(), features_per_task=2)
    tuning = config.with_flags(experiment_type=("osp_choose_ridge",), osp_ridge_grid=(0.01, 3.0), tuning_folds=2)
    rows = load_results(run_probing(tuning))
    shown = shown_probes(rows)
    assert len(rows) == 16
    assert set(shown["probe"]) == {"optimal_hinge"}
    assert (shown.groupby(["feature", "k"]).size() == 1).all()
    assert shown["chosen"].all()
    assert len(shown) == 4


def test_filters_of_several_sizes_are_distinguished(config):
    study = ("osp_filter_sizes",)
    written, text = reported(config.with_flags(experiment_type=study, layers=(1,), osp_upto_k=2))
    assert written == ["ranked_neurons.csv"]
    table = text[text.index("mean F1") :]
    assert "best 10 by auc, neurons" in table
    assert "no ranking, neurons" in table


def test_baselines_of_random_directions_show_their_standard_error(config):
    config = config.with_flags(experiment_type=("rotation_baseline",), layers=(1,), ks=(1, 4))
    _, text = reported(config)
    rows = load_results(run_probing(config))
    text = " ".join(text.split())  # a title is wrapped to the width of its table
    assert "± standard error over random bases" in text
    for k, n in ((1, 16), (4, 8)):
        of_trial = rows[rows["k"] == k].groupby("trial")["test_f1_score"].mean()
        assert len(of_trial) == n
        error = of_trial.std() / n**0.5
        assert f"{of_trial.mean():.2f} ± {error:.3f}" in text


def test_without_the_control_there_is_no_column_of_it(config):
    assert "F1 control" in reported(config)[1]
    _, text = reported(config.with_flags(controls=()))
    assert "F1 control" not in text
    assert "nan" not in text


def test_single_neurons_have_one_table(config):
    _, text = reported(config.with_flags(experiment_type=("all_neurons",)))
    lines = text.splitlines()
    (header,) = [line for line in lines if line.startswith("feature")]
    names = ["feature", "neuron", "F1", "F1 yes", "F1 control", "AUC", "interval", "p", "as good", "n+/n"]
    assert re.split(r"\s{2,}", header.strip()) == names
    (row,) = [line.split() for line in lines if line.startswith("strong")]
    assert len(row) == len(names)
    assert "layer 0" not in text
    assert "n+/n: positive and all held-out rows." in text


NUMBER = re.compile(r"[0-9]\.[0-9]{3}")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200, 1000])
def test_thirty_layers_at_every_width(width):
    """Every number is shown whole; where not all layers have room, those with the largest mean are shown."""
    scores = pd.DataFrame(
        np.random.default_rng(0).random((2, 30)).round(3), ["part\x1b[31m of speech=proper noun", "b"], range(30)
    )
    output = io.StringIO()
    print_scores(scores, "dense_probe: F1", Console(file=output, width=width))
    text = output.getvalue()
    lines = text.splitlines()
    assert "…" not in text
    assert "\x1b" not in text
    (row,) = [line for line in lines if line.startswith("b ")]
    shown = [float(number) for number in NUMBER.findall(row)]
    order = scores.mean().sort_values(ascending=False).index[: len(shown)]
    assert shown == scores.loc["b", sorted(order)].tolist()
    assert all(len(line) <= width for line in lines if not line.startswith("Left out"))
    assert len(shown) == {20: 1, 1000: 30}.get(width, len(shown))
    assert (f"{30 - len(shown)} of 30 layers" in text) == (len(shown) < 30)


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_neurons_at_every_width(width):
    """Columns that have no room are named, and no cell is cut."""
    feature = "wikidata_occupation=singer-songwriter \x1b]0;title\x07[bold]"
    neurons = pd.DataFrame([single_neuron_row(29, 1535, 0.9, test_f1=0.7, feature=feature)]).assign(
        neuron=1535,
        found=True,
        always_yes_f1_score=0.2,
        control_f1_score=0.1,
        control_roc_auc=0.5,
        n_as_good=12_345,
        coef=1.0,
    )
    neurons = neurons.assign(p_value_corrected=3e-12, test_roc_auc_low=0.41, n_positive_test=90, n_test=8100)
    output = io.StringIO()
    print_neurons(neurons, Console(file=output, width=width))
    text = output.getvalue()
    assert "…" not in text
    assert "\x1b" not in text
    assert "+L29.1535" in text
    shown = {"AUC": "0.500", "p": "3e-12", "as good": "12,345", "n+/n": "90/8100", "interval": "0.41-0.50"}
    left_out = text.partition("columns (")[2].partition(")")[0].split(", ")
    table = text.partition("+ or -:")[0]
    for name, cell in shown.items():
        assert (cell in table) == (name not in left_out)
    assert (width >= 80) == (left_out == [""])
    folded = "".join(line[:width].split("  ")[0].strip() for line in text.splitlines())
    assert "[bold]" in "".join(folded.split())


def test_of_many_features_the_figure_has_the_best_and_the_report_says_so(tmp_path):
    rows = sweep_rows(MOST_PANELS + 3, n_layers=1, controls=("",))
    rows.loc[rows["feature"].isin(["feature 0", "feature 5", "feature 9"]), "test_f1_score"] = 0.01
    figure = f1_over_k(rows)
    titles = [panel.get_title() for panel in figure.axes]
    assert len(titles) == MOST_PANELS
    assert not {"feature 0", "feature 5", "feature 9"} & set(titles)
    last = f1_over_k(rows, page=2)
    assert {panel.get_title() for panel in last.axes} == {"feature 0", "feature 5", "feature 9"}
    assert f"page 2 of 2, {MOST_PANELS + 3} features" in last.get_suptitle()
    with pytest.raises(SettingsError, match="There is no page 3: 33 features take pages 1 to 2"):
        f1_over_k(rows, page=3)


def test_rows_are_reported_like_their_run_without_files(config, tmp_path):
    run = run_probing(config)
    of_run, of_rows = io.StringIO(), io.StringIO()
    written = report(run, Console(file=of_run, width=140))
    assert report(load_results(run), Console(file=of_rows, width=140)) == []
    assert of_run.getvalue().startswith(of_rows.getvalue())
    elsewhere = report(load_results(run), Console(file=io.StringIO()), tmp_path / "elsewhere")
    assert [path.name for path in elsewhere] == [path.name for path in written]
    assert all(path.is_file() for path in elsewhere)
