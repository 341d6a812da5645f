"""Splits that data sets give: followed, completed by validation groups, mixed with random ones, and refused."""

import numpy as np
import pytest

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.given_splits import with_given_split
from probing_datasets.feature_dataset.merge import merge_datasets
from probing_datasets.foundation.errors import SplitError
from sparse_probing.online.prepare import prepare_online
from sparse_probing.online.streaming.label_matrix import label_matrix
from sparse_probing.online.streaming.train_stream import score_stream, train_stream
from tests.builders.harvests import load_model_once
from tests.builders.online import MIXED, mixed_dataset, online_settings


@pytest.fixture
def prepare(tiny_model_dir, tmp_path):
    def prepared(dataset: FeatureDataset, **flags):
        flags = {"learner": "moments", "layers": (1,), "regularization": None, **flags}
        config = online_settings(tiny_model_dir, tmp_path, tmp_path, **flags)
        return prepare_online(config, model=load_model_once(str(tiny_model_dir)), dataset=dataset)

    return prepared


def split_by(dataset: FeatureDataset, names: tuple[str, ...]) -> tuple[FeatureDataset, np.ndarray]:
    """Return the data set with a given split of its groups: of the first one ``names[0]``, and so forth, in turn."""
    of_text = np.array(names)[dataset.group_codes % len(names)]
    return with_given_split(dataset, of_text.tolist()), of_text


@pytest.fixture
def mixed(tiny_dataset):
    return mixed_dataset(tiny_dataset)


def test_a_split_with_validation_texts_is_followed_to_the_text(mixed, prepare):
    dataset, of_text = split_by(mixed, ("train", "test", "validation", "train"))
    prepared = prepare(dataset)
    parts = label_matrix(prepared).parts
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(parts, name), np.flatnonzero(of_text == name))
    rows, _ = score_stream(train_stream(prepared)) or ([], {})
    assert {row["n_test"] for row in rows if row["feature"] == "length"} == {np.count_nonzero(of_text == "test")}


def test_validation_groups_come_from_the_training_texts_of_a_split_without_any(mixed, prepare):
    dataset, of_text = split_by(mixed, ("train", "train", "test"))
    parts = label_matrix(prepare(dataset, validation_frac=0.2)).parts
    np.testing.assert_array_equal(parts.test, np.flatnonzero(of_text == "test"))
    both = np.sort(np.concatenate([parts.train, parts.validation]))
    np.testing.assert_array_equal(both, np.flatnonzero(of_text == "train"))
    codes = dataset.group_codes
    assert not set(codes[parts.train]) & set(codes[parts.validation])
    assert len(parts.validation) == pytest.approx(0.2 * len(both), rel=0.2)


def test_of_several_data_sets_each_keeps_its_split(mixed, tiny_dataset, prepare):
    dataset, of_text = split_by(tiny_dataset, ("train", "train", "test"))
    n = len(tiny_dataset.lengths)
    prepared = prepare(merge_datasets([mixed, dataset]), feature_subset=("length", "Greek"), feature_dataset=MIXED)
    parts = label_matrix(prepared).parts
    second = {name: part[part >= n] - n for name, part in vars(parts).items()}
    np.testing.assert_array_equal(second["test"], np.flatnonzero(of_text == "test"))
    assert len(second["validation"])
    first = {name: part[part < n] for name, part in vars(parts).items()}
    assert sum(map(len, first.values())) == n
    assert len(first["test"]) == pytest.approx(0.3 * n, rel=0.2)


def test_a_label_set_whose_class_is_missing_in_a_given_part_is_named(mixed, prepare):
    sequence, _, label = mixed.feature_probes("language")
    is_greek = np.isin(np.arange(len(mixed.lengths)), sequence[label == 3])
    parts = np.where(np.arange(len(mixed.lengths)) % 2, "train", "test")
    dataset = with_given_split(mixed, np.where(is_greek, "train", parts).tolist())
    matrix = label_matrix(prepare(dataset))
    assert [each.name for each in matrix.label_sets] == ["German", "length"]
    assert "no test rows of class Greek of label set 'language'" in matrix.failures["language"]
    with pytest.raises(SplitError, match="Make it without --split_column"):
        label_matrix(prepare(dataset, feature_subset=("language",)))
