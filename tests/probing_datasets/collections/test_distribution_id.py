"""Sub-corpora as binary features, and as one multiclass feature over all pieces of a text."""

import numpy as np
import pytest

from probing_datasets.collections.distribution_id import DistributionConfig, PileTestConfig, build, build_pile_test
from tests.builders.sources import write_table


@pytest.fixture
def source(tmp_path):
    """Three sub-corpora, each of one letter, named in a struct as in the Pile."""
    rows = [
        {"text": f"{name[0]} " * 47, "meta": {"pile_set_name": name}, "group": f"{name} {i}"}
        for name in ("arxiv", "books", "code")
        for i in range(12)
    ]
    return write_table(tmp_path / "pile.jsonl", rows)


def options(source, tokenizer_dirs):
    return {
        "tokenizer": str(tokenizer_dirs["byte_level_bpe"]),
        "source": source,
        "label_column": "meta.pile_set_name",
        "min_positives": 10,
    }


def test_each_sub_corpus_against_the_rest_after_the_first_tokens(source, tokenizer_dirs):
    dataset = build(DistributionConfig(**options(source, tokenizer_dirs)))
    assert dataset.features == ("arxiv", "books", "code")
    corpus = np.array([group.split()[0] for group in dataset.sequences["group"]])
    for name in dataset.features:
        probes = dataset.feature_probes(name)
        assert probes.position.min() >= 1 + 25
        assert np.array_equal(probes.label == 1, corpus[probes.sequence] == name)
    assert all(dataset.description.features[name].counts == {"-1": 48, "1": 24} for name in dataset.features)


def test_pile_test_takes_all_pieces_and_names_the_classes(source, tokenizer_dirs):
    dataset = build_pile_test(PileTestConfig(**options(source, tokenizer_dirs)))
    info = dataset.description.features["distribution"]
    assert info.classes == ("arxiv", "books", "code")
    assert dataset.description.n_sequences == 36 * 2
    assert dataset.description.n_tokens - dataset.description.n_sequences == 36 * 94  # every token of every text
    groups = np.array([group.split()[0] for group in dataset.sequences["group"]])
    probes = dataset.feature_probes("distribution")
    assert (np.array(info.classes)[probes.label.astype(int)] == groups[probes.sequence]).all()
