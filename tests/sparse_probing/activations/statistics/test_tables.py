"""The columns of the tables of a histogram."""

import numpy as np
import pyarrow.parquet as pq
import torch

from probing_datasets.building.tokenization import load_tokenizer
from sparse_probing.activations.statistics.bins import Bins
from sparse_probing.activations.statistics.layer_statistics import LayerStatistics
from sparse_probing.activations.statistics.tables import write_classes, write_examples, write_layer
from sparse_probing.activations.statistics.token_classes import CountedTokens, TokenClass
from sparse_probing.activations.statistics.token_texts import TokenTexts
from sparse_probing.activations.tables.recorded_files import RecordedFiles


def test_there_are_fewer_examples_where_fewer_than_k_tokens_were_seen(tiny_dataset, tiny_model_dir, tmp_path):
    bins = Bins.between(4, [0.0, 0.0], [1.0, 1.0])
    statistics = LayerStatistics.empty(2, bins, 5, 2)
    activation = torch.tensor([[[9.0, 9.0], [0.5, -1.0], [0.25, 2.0]]])
    row = torch.tensor([1, 2])
    statistics.update(activation, CountedTokens(row, row, [torch.tensor([1]), torch.arange(0)]))
    texts, files = TokenTexts(tiny_dataset, load_tokenizer(str(tiny_model_dir))), RecordedFiles(tmp_path, "plan")
    assert write_layer(files, 3, statistics) == ["layer_03.parquet"]
    one, other = pq.read_table(tmp_path / "layer_03.parquet").to_pylist()
    assert (one["counts"], other["counts"], other["below"], other["above"]) == ([0, 1, 1, 0], [0] * 4, 1, 1)
    assert (other["nonzero_fraction"], other["positive_fraction"]) == (1.0, 0.5)
    assert (one["hist_min"], one["hist_max"]) == (0.0, 1.0)

    assert write_examples(files, 3, statistics, texts) == ["examples/layer_03.parquet"]
    examples = pq.read_table(tmp_path / "examples" / "layer_03.parquet").to_pylist()
    assert [(e["neuron"], e["end"], e["rank"], e["value"], e["sequence"], e["position"]) for e in examples] == [
        (0, "largest", 1, 0.5, 0, 1),
        (0, "largest", 2, 0.25, 0, 2),
        (0, "smallest", 1, 0.25, 0, 2),
        (0, "smallest", 2, 0.5, 0, 1),
        (1, "largest", 1, 2.0, 0, 2),
        (1, "largest", 2, -1.0, 0, 1),
        (1, "smallest", 1, -1.0, 0, 1),
        (1, "smallest", 2, 2.0, 0, 2),
    ]
    assert all(f"«{e['token']}»" in e["context"] for e in examples)

    classes = [TokenClass("f", label, np.array([1])) for label in (-1.0, 1.0)]
    assert write_classes(files, 3, statistics, classes) == ["classes/layer_03.parquet"]
    rows = pq.read_table(tmp_path / "classes" / "layer_03.parquet").to_pylist()
    assert [(r["feature"], r["label"], r["neuron"], r["n"]) for r in rows] == [
        ("f", -1.0, 0, 1),
        ("f", -1.0, 1, 1),
        ("f", 1.0, 0, 0),
        ("f", 1.0, 1, 0),
    ]
    assert rows[0]["mean"] == 0.25
    assert write_classes(files, 4, LayerStatistics.empty(2, bins, 5, 0), []) == []
