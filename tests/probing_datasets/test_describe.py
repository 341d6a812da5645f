"""The printed description of a data set: sharing, class balance, examples."""

import re

import numpy as np
import pytest
from rich.console import Console

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.collections.distribution_id import PileTestConfig
from probing_datasets.collections.position import PositionConfig
from probing_datasets.describe import describe, sharing
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from tests.builders.datasets import dataset_with_labels


def described(dataset, examples: int) -> str:
    console = Console(record=True, width=220)
    describe(dataset, examples, console)
    return console.export_text()


def test_sharing_counts_positions_once():
    labels = {"a": {(0, 1): 1.0, (0, 2): -1.0, (1, 3): 1.0}, "b": {(0, 2): 1.0, (1, 1): -1.0}}
    dataset = dataset_with_labels(labels, lengths=(5, 5))
    assert sharing(dataset) == "5 labels on 4 positions: shared positions save 20% of the rows"


def test_balance_and_marked_examples(tiny_model_dir):
    dataset = make_dataset(MakeConfig("text_features", str(tiny_model_dir), rows_per_feature=100, min_positives=5))
    out = described(dataset, 3)
    assert "-1: 50 (50%), 1: 50 (50%)" in out
    probes = dataset.feature_probes("contains_capital")
    tokenizer = load_tokenizer(str(tiny_model_dir))
    first = int(np.flatnonzero(probes.label == 1)[0])
    token = dataset.tokens(probes.sequence[[first]])[0][probes.position[first]]
    assert f"⟦{tokenizer.decode([token])}⟧" in out.split("contains_capital")[1].split("contains_whitespace")[0]


def test_examples_go_from_the_lowest_label_to_the_highest(tiny_model_dir):
    out = described(make_dataset(PositionConfig(tokenizer=str(tiny_model_dir), rows_per_feature=300)), 3)
    row = out.split("absolute")[1].split("log")[0]
    assert "1 to 63, mean" in row
    labels = [float(label) for label in re.findall(r"([\d.]+): [^⟦]*⟦", row)]
    assert len(labels) == 3
    assert labels == sorted(labels)
    assert labels[0] == 1


def test_classes_are_named(tiny_model_dir):
    dataset = make_dataset(PileTestConfig(tokenizer=str(tiny_model_dir), min_positives=5))
    assert "HTML: " in described(dataset, 2)


@pytest.mark.parametrize("examples", [0, 1, 10_000])
def test_any_number_of_examples_and_no_column_for_none(tiny_model_dir, examples):
    dataset = make_dataset(MakeConfig("natural_lang_id", str(tiny_model_dir), positions_per_sequence=1))
    out = described(dataset, examples)
    assert out.count("⟦") == (1 + 9 * min(examples, 30) if examples else 0)
    assert ("examples" in out) == bool(examples)
