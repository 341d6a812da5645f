"""Selecting neurons by name and from a file of ranked neurons."""

import functools
import os
from pathlib import Path

import pandas as pd
import pytest

from probing_datasets.foundation.errors import ModelError, SettingsError
from sparse_probing.activations.subset.neurons import Neuron, check_neurons, parse_neuron, select_neurons
from sparse_probing.config import HarvestConfig
from tests.builders.hang_guard import must_end

SUBSET = functools.partial(HarvestConfig.from_flags, experiment_type="neuron_subset")
HOOK = "mlp.hook_post"


@pytest.fixture
def ranked(tmp_path):
    path = tmp_path / "ranked.csv"
    rows = [
        ("demo", "natural_lang_id.demo.256.-1", HOOK, 2, 12),
        ("demo", "natural_lang_id.demo.256.-1", "hook_mlp_out", 3, 1),
        ("EleutherAI/demo", "natural_lang_id.demo.256.-1", HOOK, 0, 30),
        ("gpt2", "natural_lang_id.demo.256.-1", HOOK, 1, 1),
        ("demo", "other.demo.256.-1", HOOK, 1, 2),
        ("demo", "natural_lang_id.demo.256.-1", HOOK, 2, 12),
    ]
    pd.DataFrame(rows, columns=["model", "dataset", "hook_loc", "layer", "neuron"]).to_csv(path, index=False)
    return path


def selected(config, hook_point=HOOK):
    return select_neurons(config.subset, config.activations, config.layers, hook_point)


def names(config, hook_point=HOOK):
    return [str(neuron) for neuron in selected(config, hook_point)]


def test_neurons_of_the_command_line_are_sorted_and_each_is_there_once():
    assert names(SUBSET(neuron_subset=("2,317", "0,5", "2,317", "2,9"))) == ["L0.N5", "L2.N9", "L2.N317"]


def test_neurons_of_a_file_and_of_the_command_line_go_together(ranked):
    config = SUBSET(neuron_subset_file=ranked, neuron_subset=("9,9",))
    assert names(config) == ["L0.N30", "L1.N1", "L1.N2", "L2.N12", "L3.N1", "L9.N9"]
    assert names(config.with_flags(layers=(1, 9))) == ["L1.N1", "L1.N2", "L9.N9"]


def test_a_file_can_be_restricted_to_the_model_and_data_of_the_harvest(ranked):
    config = SUBSET(neuron_subset_file=ranked, auto_restrict_neuron_subset_file=True)
    assert names(config) == ["L0.N30", "L2.N12"]
    assert names(config, "hook_mlp_out") == ["L3.N1"]
    with pytest.raises(SettingsError, match=r"No neuron of mlp.hook_post is selected.*remove neurons"):
        names(config.with_flags(model="pythia-70m"))


def test_the_papers_restriction_is_to_the_collection(ranked, tmp_path, monkeypatch):
    def found(**flags):
        config = SUBSET(neuron_subset_file=ranked, auto_restrict_neuron_subset_file=True).with_flags(**flags)
        neurons = select_neurons(config.subset, config.activations, (), "mlp.hook_pre", as_paper=True)
        return [str(neuron) for neuron in neurons]

    # Ranked after the activation function, with any number of tokens; hook_mlp_out and gpt2 have other neurons.
    assert found() == found(feature_dataset="natural_lang_id.demo.64.100") == ["L0.N30", "L2.N12"]
    assert found(feature_dataset="other.demo.64.-1") == ["L1.N2"]
    # The paper's files have these columns only, and are named below a folder of the model.
    folder = tmp_path / "published" / "demo"
    folder.mkdir(parents=True)
    pd.read_csv(ranked)[["dataset", "layer", "neuron"]].to_csv(folder / "top.csv", index=False)
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", str(folder.parent))
    assert found(neuron_subset_file=Path("top.csv")) == ["L0.N30", "L1.N1", "L2.N12", "L3.N1"]
    with pytest.raises(SettingsError, match="--neuron_subset_file none.csv cannot be read"):
        found(neuron_subset_file=Path("none.csv"))
    assert names(SUBSET(neuron_subset_file=Path("top.csv"))) == ["L0.N30", "L1.N1", "L1.N2", "L2.N12", "L3.N1"]


def test_the_papers_published_columns_are_understood(ranked, tmp_path):
    """The tables of the paper call the hook point `loc`."""
    path = tmp_path / "paper.csv"
    pd.read_csv(ranked).rename(columns={"hook_loc": "loc"}).to_csv(path, index=False)
    config = SUBSET(neuron_subset_file=path, auto_restrict_neuron_subset_file=True)
    assert names(config) == ["L0.N30", "L2.N12"]
    assert names(config, "hook_mlp_out") == ["L3.N1"]


PUBLISHED = Path(__file__).parents[4] / "interpretable_neurons"


@pytest.mark.parametrize("table", sorted(PUBLISHED.rglob("*.csv")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_published_table_restricted_to_its_own_harvest_is_whole(table, monkeypatch):
    """By its name alone, in both experiment types; the tables of random weights are not those of the trained model."""
    monkeypatch.setenv("INTERPRETABLE_NEURONS_DIR", str(PUBLISHED))
    rows = pd.read_csv(table)
    expected = sorted({(int(layer), int(neuron)) for layer, neuron in rows[["layer", "neuron"]].to_numpy()})
    config = SUBSET(
        neuron_subset_file=Path(table.name),
        auto_restrict_neuron_subset_file=True,
        feature_dataset=rows["dataset"][0],
        random_init=bool(rows["random_init"][0]),
    )
    for as_paper, hook_point in ((False, HOOK), (True, "mlp.hook_pre")):
        found = select_neurons(config.subset, config.activations, (), hook_point, as_paper=as_paper)
        assert [tuple(neuron) for neuron in found] == expected
    other = config.with_flags(random_init=not config.activations.random_init, neuron_subset_file=table)
    with pytest.raises(SettingsError, match="No neuron of"):
        selected(other)


@pytest.mark.parametrize("text", ["2", "2,3,4", "2,x", "-1,3", "2.5,3", ""])
def test_a_neuron_that_is_not_written_as_one(text):
    with pytest.raises(SettingsError, match=f"LAYER,NEURON.*not '{text}'"):
        parse_neuron(text)


def test_a_number_of_any_length_is_refused():
    with pytest.raises(SettingsError, match="LAYER,NEURON"):
        parse_neuron(f"0,{'9' * 5000}")
    with pytest.raises(ModelError, match=f"has no neuron L0.N{2**64 - 1}"):
        check_neurons([parse_neuron(f"0,{2**64 - 1}")], "m", 2, "h", 4)
    with pytest.raises(ModelError, match="has no neuron L0.N-1"):
        check_neurons([Neuron(0, -1)], "m", 2, "h", 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("layer\n1\n", "has no columns neuron"),
        ("layer,neuron\n1,2\n1,x\n", "layer and neuron of row 3"),
        ("layer,neuron\n1,2\n\n-1,2\n", "are not whole numbers"),
        *((f"layer,neuron\n1,2\n1,{n}\n", "row 3 are not whole") for n in (2**31, 2**63, 2**64 - 1, 10**30, "inf")),
        ("layer,neuron\n1.5,2\n", "layer and neuron of row 2"),
        ("", "cannot be read as CSV"),
        ("layer,neuron\n", "No neuron of"),
    ],
)
def test_a_bad_file(tmp_path, content, message):
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(SettingsError, match=message):
        selected(SUBSET(neuron_subset_file=tmp_path / "bad.csv"), HOOK)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_file_without_end_is_refused_at_once(tmp_path, make):
    make(tmp_path / "ranked.csv")
    with must_end(), pytest.raises(SettingsError, match=r"ranked.csv cannot be read as CSV: .*\. Pass a file"):
        selected(SUBSET(neuron_subset_file=tmp_path / "ranked.csv"), HOOK)


def test_a_missing_file_and_missing_columns_for_the_restriction(tmp_path):
    config = SUBSET(neuron_subset_file=tmp_path / "none.csv", auto_restrict_neuron_subset_file=True)
    with pytest.raises(SettingsError, match="none.csv cannot be read"):
        selected(config)
    (tmp_path / "none.csv").write_text("layer,neuron\n1,2\n")
    with pytest.raises(SettingsError, match="has no columns model, dataset, hook_loc"):
        selected(config)


def test_missing_layers_and_neurons_are_named():
    check_neurons([Neuron(3, 511)], "demo", 4, HOOK, 512)
    wrong = [Neuron(0, 512), Neuron(4, 0), Neuron(3, 5)]
    with pytest.raises(ModelError, match=r"demo has no neuron L0.N512, L4.N0: it has layers 0 to 3, .* 0 to 511"):
        check_neurons(wrong, "demo", 4, HOOK, 512)
    with pytest.raises(ModelError, match="and 4 more"):
        check_neurons([Neuron(0, 600 + i) for i in range(9)], "demo", 4, HOOK, 512)
