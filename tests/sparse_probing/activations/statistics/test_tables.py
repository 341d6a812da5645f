"""The columns of the tables of a histogram."""

import numpy as np
import pyarrow.parquet as pq
import torch

from probing_datasets.building.tokenization import load_tokenizer
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.tables import write_classes, write_layer
from sparse_probing.activations.statistics.token_classes import CountedTokens, TokenClass
from sparse_probing.activations.statistics.token_texts import TokenTexts


def test_lists_are_shorter_where_fewer_than_k_tokens_were_seen(tiny_dataset, tiny_model_dir, tmp_path):
    statistics, bins = LayerStatistics.empty(2, Bins(4, 0, 1), 5, 2), Bins(4, 0, 1)
    activation = torch.tensor([[[9.0, 9.0], [0.5, -1.0], [0.25, 2.0]]])
    row = torch.tensor([1, 2])
    statistics.update(activation, CountedTokens(row, row, [torch.tensor([1]), torch.arange(0)]), bins)
    texts = TokenTexts(tiny_dataset, load_tokenizer(str(tiny_model_dir)))
    assert write_layer(tmp_path, 3, statistics, texts) == ["layer_03.parquet"]
    one, other = pq.read_table(tmp_path / "layer_03.parquet").to_pylist()
    assert (one["top_value"], one["top_sequence"], one["top_position"]) == ([0.5, 0.25], [0, 0], [1, 2])
    assert (other["top_value"], other["top_position"]) == ([2.0, 1.0 * -1], [2, 1])
    assert (one["counts"], other["counts"], other["below"], other["above"]) == ([0, 1, 1, 0], [0] * 4, 1, 1)
    assert len(one["top_token"]) == len(one["top_context"]) == 2

    classes = [TokenClass("f", label, np.array([1])) for label in (-1.0, 1.0)]
    assert write_classes(tmp_path, 3, statistics, classes) == ["classes/layer_03.parquet"]
    rows = pq.read_table(tmp_path / "classes" / "layer_03.parquet").to_pylist()
    assert [(r["feature"], r["label"], r["neuron"], r["n"]) for r in rows] == [
        ("f", -1.0, 0, 1),
        ("f", -1.0, 1, 1),
        ("f", 1.0, 0, 0),
        ("f", 1.0, 1, 0),
    ]
    assert rows[0]["mean"] == 0.25
    assert write_classes(tmp_path, 4, LayerStatistics.empty(2, bins, 5, 0), []) == []
