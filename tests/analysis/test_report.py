import dataclasses
import io

import pytest
from rich.console import Console

from analysis.report import report
from experiments.cluster.launch import run_probing


def reported(config):
    output = io.StringIO()
    run = run_probing(config)
    written = report(run, Console(file=output, width=140))
    return [path.relative_to(run.path).name for path in written], output.getvalue()


@pytest.fixture
def config(plant):
    return plant()


def test_single_neurons_give_a_table_and_a_csv(config):
    written, text = reported(dataclasses.replace(config, experiment_type=("enumerate_monosemantic",)))
    assert written == ["ranked_neurons.csv"]
    assert [line.split()[1:6:2] for line in text.splitlines() if "L1.5" in line] == [["strong", "L1.5", "+"]]
    assert "ranked_neurons.csv" in text


def test_a_sweep_gives_a_figure_too(config):
    written, text = reported(config)
    assert written == ["ranked_neurons.csv", "f1_over_k.png"]
    assert "L0.7" in text


def test_dense_probes_give_a_table_by_layer(config):
    written, text = reported(dataclasses.replace(config, experiment_type=("dense_probe",)))
    assert written == []
    assert "layer 0" in text
    assert "layer 1" in text
    strong = next(line for line in text.splitlines() if "strong" in line)
    assert float(strong.split()[5]) > 0.95 > float(strong.split()[3])


def test_without_the_control_its_column_is_empty(config):
    _, text = reported(dataclasses.replace(config, controls=()))
    assert "nan" in next(line for line in text.splitlines() if "strong" in line)
