"""Named spans of tokens: saving, the content hash, and the span that is pooled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.feature_dataset.spans import POOLED, pooled_span, read_span, spans_of_marks, with_spans


def test_spans_survive_the_disk(tiny_dataset, tmp_path: Path):
    n = len(tiny_dataset.lengths)
    subject = np.stack([np.arange(n) % 3, np.arange(n) % 3 + 2], axis=1)
    dataset = with_spans(tiny_dataset, {"subject": subject, "target": subject + 1})
    dataset.save(tmp_path / dataset.name)
    loaded = load_feature_dataset(dataset.name, tmp_path)
    assert np.array_equal(read_span(loaded, "subject", np.arange(n)), subject)
    assert np.array_equal(read_span(loaded, "target", np.array([5, 2])), subject[[5, 2]] + 1)
    assert replace(loaded.description, content_hash=tiny_dataset.description.content_hash) == tiny_dataset.description
    assert loaded.sequences["group"] == tiny_dataset.sequences["group"]


def test_spans_are_part_of_the_content_hash(tiny_dataset):
    lengths = tiny_dataset.lengths
    spans = [np.stack([lengths - n, lengths], axis=1) for n in (1, 2)]
    datasets = [tiny_dataset, *(with_spans(tiny_dataset, {POOLED: span}) for span in spans)]
    datasets.append(with_spans(tiny_dataset, {"subject": spans[0]}))
    assert len({dataset.description.content_hash for dataset in datasets}) == 4


def test_all_of_a_text_is_pooled_unless_a_span_is_named(tiny_dataset):
    lengths, every = tiny_dataset.lengths, np.arange(len(tiny_dataset.lengths))
    assert np.array_equal(pooled_span(tiny_dataset, every), np.stack([np.ones_like(lengths), lengths], axis=1))
    names = np.stack([lengths - 2, lengths], axis=1)
    assert np.array_equal(pooled_span(with_spans(tiny_dataset, {POOLED: names}), every), names)


@pytest.mark.parametrize(
    ("mark", "span"), [([0, 1, 1, 0], (1, 3)), ([1], (0, 1)), ([0, 1, 0, 1], (1, 4)), ([0, 0], (0, 0)), ([], (0, 0))]
)
def test_span_of_marks(mark, span):
    assert spans_of_marks([np.array(mark, bool)]).tolist() == [list(span)]
