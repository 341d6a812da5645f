"""Merged data sets: every feature keeps its rows, labels, groups, pooled tokens and split."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from probing_datasets.feature_dataset import (
    Aggregation,
    FeatureDataset,
    Probes,
    build_feature_dataset,
    load_feature_dataset,
    save_dataset,
)
from probing_datasets.feature_dataset.given_splits import in_given_test, with_given_split
from probing_datasets.feature_dataset.merge import PARTS, merge_datasets, merged_parts
from probing_datasets.feature_dataset.probed_rows import feature_rows, probed_rows
from probing_datasets.feature_dataset.spans import POOLED, pooled_span, read_span, with_spans
from probing_datasets.foundation.errors import DamagedFileError, DatasetError
from sparse_probing.activations.model_pass.batches import part_batches
from sparse_probing.config.probing import SplitConfig
from sparse_probing.studies.base.feature_splits import split_rows
from tests.builders.datasets import DESCRIPTION, dataset_with_labels


def a_dataset(name: str, n: int = 12, first_token: int = 0, **description: int) -> FeatureDataset:
    """A binary feature ``Label`` of whole texts, and another feature with three classes; two texts are a group."""
    rng = np.random.default_rng(len(name))
    tokens = [first_token + np.arange(3 + i % 4, dtype=np.int32) + i for i in range(n)]
    last = np.array([len(ids) - 1 for ids in tokens])
    every = np.arange(n)
    own, classes = f"Own {name}", rng.permutation(every % 3).astype(float)
    fields = {"name": f"{name}.tiny.16.-1", "context_length": 6, "source": {"name": name, "licence": "CC0"}}
    return build_feature_dataset(
        replace(DESCRIPTION, **(fields | description)),
        tokens,
        [f"g{i // 2}" for i in range(n)],
        {
            "Label": ("binary", Probes(every, last, np.where(every % 4 < 2, 1.0, -1.0))),
            own: ("multiclass", Probes(every[::-1], last[::-1], classes)),
        },
        {own: ("x", "y", "z")},
    )


@pytest.fixture
def parts() -> list[FeatureDataset]:
    second = a_dataset("beta", 10, first_token=100, context_length=9)
    return [a_dataset("alpha"), with_spans(second, {POOLED: np.stack([np.full(10, 1), np.full(10, 2)], axis=1)})]


def rows_of(dataset: FeatureDataset, feature: str, aggregation: Aggregation = "none") -> list[tuple]:
    """Tokens, position, label, and the split of every row of a feature, in the order of the rows."""
    rows = feature_rows(dataset, feature, probed_rows(dataset, aggregation), aggregation)
    kind = dataset.description.features[feature].kind
    (split,) = split_rows(feature, kind, rows, SplitConfig(test_set_frac=0.4), seed=3)
    is_test = np.isin(np.arange(len(rows.label)), split.split.test)
    position = probed_rows(dataset, aggregation).position[rows.row]
    texts = [ids.tolist() for ids in dataset.tokens(rows.sequence)]
    return list(zip(texts, position.tolist(), rows.label.tolist(), is_test.tolist(), strict=True))


NAMES = {
    0: {"alpha.tiny.16.-1:Label": "Label", "Own alpha": "Own alpha"},
    1: {"beta.tiny.16.-1:Label": "Label", "Own beta": "Own beta"},
}


@pytest.mark.parametrize("aggregation", ["none", "mean"])
def test_every_feature_has_the_rows_the_labels_and_the_split_that_it_has_without_the_others(parts, aggregation):
    merged = merge_datasets(parts)
    assert set(merged.features) == {name for names in NAMES.values() for name in names}
    for number, names in NAMES.items():
        for name, original in names.items():
            expected = rows_of(parts[number], original, aggregation)
            assert rows_of(merged, name, aggregation) == expected
            assert len({is_test for *_, is_test in expected}) == 2
            before, after = parts[number].description.features[original], merged.description.features[name]
            assert replace(after, start=0, stop=0) == replace(before, start=0, stop=0)


def test_a_feature_has_no_row_on_the_texts_of_another_data_set(parts):
    merged = merge_datasets(parts)
    for part, names in zip(merged_parts(merged.description), NAMES.values(), strict=True):
        assert part.features == names
        for name in names:
            sequence = merged.feature_probes(name).sequence
            assert part.start <= sequence.min() <= sequence.max() < part.stop


def test_groups_of_two_data_sets_are_different_even_with_equal_names(parts):
    merged = merge_datasets(parts)
    codes, n = merged.group_codes, len(parts[0].lengths)
    assert not set(codes[:n]) & set(codes[n:])
    for part, of_part in zip(parts, (codes[:n], codes[n:]), strict=True):
        assert np.array_equal(of_part - of_part.min(), part.group_codes)  # the same groups in the same order


def test_pooled_tokens_are_those_of_each_data_set(parts):
    merged, n = merge_datasets(parts), len(parts[0].lengths)
    span = pooled_span(merged, np.arange(len(merged.lengths)))
    assert np.array_equal(span[:n], pooled_span(parts[0], np.arange(n)))
    assert np.array_equal(span[n:], pooled_span(parts[1], np.arange(10)))
    assert (span[n:] == [1, 2]).all()


@pytest.mark.parametrize("side", [{"n_prefix": 0}, {"n_suffix": 1}])
def test_special_tokens_of_another_number_are_not_pooled(side):
    first, second = a_dataset("alpha"), a_dataset("beta", 10, **side)
    merged = merge_datasets([first, second])
    (batch,) = part_batches(merged, probed_rows(merged, "mean"), 0, 22, batch_size=30)
    pooled = {member: mask.nonzero()[:, 0].tolist() for member, mask in zip(batch.members, batch.pooled, strict=True)}
    for offset, part in ((0, first), (12, second)):
        d = part.description
        for number, length in enumerate(part.lengths):
            assert pooled[offset + number] == list(range(d.n_prefix, length - d.n_suffix))


def test_spans_of_one_data_set_are_empty_in_the_others(parts):
    subject = np.stack([np.full(10, 1), np.full(10, 3)], axis=1)
    merged = merge_datasets([parts[0], with_spans(parts[1], {"subject": subject})])
    span = read_span(merged, "subject", np.arange(22))
    assert (span[:12] == 0).all()
    assert (span[12:] == [1, 3]).all()


def test_a_given_split_holds_for_its_data_set_only(parts):
    names = ["train", "test", "test", "train"] * 3
    split = with_given_split(parts[0], names)
    merged = merge_datasets([split, parts[1]])
    first = in_given_test(merged, np.arange(12))
    assert first is not None
    assert first.tolist() == [name == "test" for name in names]
    assert in_given_test(merged, np.arange(12, 22)) is None
    for number, part in enumerate([split, parts[1]]):
        for name, original in NAMES[number].items():
            assert rows_of(merged, name) == rows_of(part, original)
    none_given = merge_datasets(parts)
    assert in_given_test(none_given, np.arange(22)) is None


def test_the_longest_context_is_that_of_the_merged_data_set(parts):
    merged = merge_datasets(parts)
    d = merged.description
    assert (d.context_length, d.n_sequences, d.n_tokens) == (9, 22, sum(p.description.n_tokens for p in parts))
    assert np.array_equal(merged.lengths, np.concatenate([part.lengths for part in parts]))


def test_equal_texts_run_once_for_each_data_set(caplog):
    with caplog.at_level(logging.INFO, logger="probing_datasets"):
        merged = merge_datasets([a_dataset("alpha"), a_dataset("beta", 10)])
    assert len(merged.lengths) == 22
    assert "10 sequences of beta.tiny.16.-1 are in an earlier data set too" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="probing_datasets"):
        merge_datasets([a_dataset("alpha"), a_dataset("beta", first_token=100)])
    assert not caplog.text


def test_the_description_records_the_data_sets_and_survives_the_disk(parts, tmp_path):
    parts[1] = replace(parts[1], description=replace(parts[1].description, dropped=("One text.",)))
    merged = merge_datasets(parts)
    save_dataset(merged, tmp_path, overwrite=False)
    loaded = load_feature_dataset(merged.name, tmp_path)
    assert loaded.description == merged.description
    d = loaded.description
    assert d.name == "alpha.tiny.16.-1+beta.tiny.16.-1"
    assert (d.source["name"], d.source["licence"], d.collection) == ("alpha; beta", "CC0", "made")
    assert d.dropped == ("beta.tiny.16.-1: One text.",)
    found = [(p.name, p.content_hash, p.start, p.stop, p.source["name"]) for p in merged_parts(d)]
    hashes = [part.description.content_hash for part in parts]
    assert found == [(parts[0].name, hashes[0], 0, 12, "alpha"), (parts[1].name, hashes[1], 12, 22, "beta")]
    assert merged_parts(parts[0].description) == []


def test_the_hash_is_that_of_the_content(parts):
    first, second = merge_datasets(parts), merge_datasets(parts[::-1])
    assert first.description.content_hash == merge_datasets(parts).description.content_hash
    assert first.description.content_hash != second.description.content_hash
    assert {**NAMES[0], **NAMES[1]}.keys() == set(second.features)


def test_parts_that_were_not_written_by_a_merge_are_refused(parts):
    d = merge_datasets(parts).description
    for spoil in ({"name": "../x"}, {"start": "0"}, {"features": ["Label"]}):
        source = json.loads(json.dumps(d.source))
        source[PARTS][0] |= spoil
        with pytest.raises((DamagedFileError, ValueError)):
            merged_parts(replace(d, source=source))


def test_many_data_sets_have_a_short_name():
    merged = merge_datasets([a_dataset("x" * 30 + str(i), first_token=i) for i in range(5)])
    assert merged.name.startswith("x" * 30 + "0.tiny.16.-1+4_more.")
    assert len(merged.name) < 80


def test_one_data_set_is_itself(parts):
    assert merge_datasets(parts[:1]) is parts[0]


def test_what_cannot_be_merged(parts):
    other = replace(parts[1], description=replace(parts[1].description, tokenizer_hash="other", tokenizer="gpt2"))
    with pytest.raises(DatasetError, match="beta.* was tokenized with 'gpt2', and alpha.* with 'tiny'.* --tokenizer"):
        merge_datasets([parts[0], other])
    with pytest.raises(DatasetError, match="hold the same sequences and labels. Name a data set once"):
        merge_datasets([parts[0], parts[1], parts[0]])
    first, second = (dataset_with_labels({"f": {(0, 1): 1, (2, 1): label}}, name="d") for label in (1, -1))
    with pytest.raises(DatasetError, match="Two data sets have the feature 'd:f', and the same name"):
        merge_datasets([first, second])
