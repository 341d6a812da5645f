"""The report of a run: its tables, the CSV of neurons, and the figure where one shows everything."""

import io

import pytest
from rich.console import Console

from sparse_probing.reporting.report import report, shown_probes
from sparse_probing.runs.launch import run_probing
from sparse_probing.runs.load_results import load_results


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
    assert line[1:4:2] == ["strong", "+L1.5"]
    weak = next(line for line in text.splitlines() if line.startswith("│ weak"))
    assert ("none found" in weak) == ("weak: no neuron found" in text)
    assert "ranked_neurons.csv" in text


def test_a_sweep_gives_a_figure_too(config):
    written, text = reported(config)
    assert written == ["ranked_neurons.csv", "f1_over_k.png"]
    assert "L0.7" in text


def test_dense_probes_give_a_table_by_layer(config):
    written, text = reported(config.with_flags(experiment_type=("dense_probe",)))
    assert written == []
    assert "layer 0" in text
    assert "layer 1" in text
    strong = next(line for line in text.splitlines() if "strong" in line)
    assert float(strong.split()[5]) > 0.95 > float(strong.split()[3])


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


def test_without_the_control_its_column_is_empty(config):
    _, text = reported(config.with_flags(controls=()))
    assert "nan" in next(line for line in text.splitlines() if "strong" in line)


def test_rows_are_reported_like_their_run_without_files(config, tmp_path):
    run = run_probing(config)
    of_run, of_rows = io.StringIO(), io.StringIO()
    written = report(run, Console(file=of_run, width=140))
    assert report(load_results(run), Console(file=of_rows, width=140)) == []
    assert of_run.getvalue().startswith(of_rows.getvalue())
    elsewhere = report(load_results(run), Console(file=io.StringIO()), tmp_path / "elsewhere")
    assert [path.name for path in elsewhere] == [path.name for path in written]
    assert all(path.is_file() for path in elsewhere)
