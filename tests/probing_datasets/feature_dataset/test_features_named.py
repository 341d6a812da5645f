"""Names of features on a command line: lists with commas, classes, and the groups of the paper's ewt."""

from dataclasses import replace

import pytest

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.feature_dataset.description import FeatureInfo
from probing_datasets.foundation.errors import DatasetError
from tests.builders.datasets import dataset_with_labels

NAMES = (
    "upos_NOUN",
    "upos_VERB",
    "dep_nsubj",
    "Tense_Past",
    "Number_Plur",
    "eos_True",
    "first_eos_True",
    "a, b",
    "c/d",
)


@pytest.fixture
def dataset() -> FeatureDataset:
    labels = {name: {(0, 1): 1.0, (0, 2): -1.0} for name in NAMES}
    made = dataset_with_labels(labels, lengths=(5,))
    features = made.description.features | {"upos": FeatureInfo("multiclass", 0, 3, {"0": 1, "1": 1, "2": 1})}
    return FeatureDataset(replace(made.description, collection="ewt", features=features), made.sequences, made.probes)


@pytest.mark.parametrize(
    ("names", "features"),
    [
        (("upos_NOUN,dep_nsubj",), ("upos_NOUN", "dep_nsubj")),
        (("upos_NOUN, dep_nsubj,", "upos_NOUN"), ("upos_NOUN", "dep_nsubj")),
        (("a, b",), ("a, b",)),
        (("c/d",), ("c/d",)),
        (("upos=1,Tense_Past",), ("upos=1", "Tense_Past")),
        (("upos",), ("upos_NOUN", "upos_VERB")),
        (("dep,upos_VERB",), ("dep_nsubj", "upos_VERB")),
        (("morph",), ("Number_Plur", "Tense_Past", "a, b", "c/d")),
        ((), ()),
    ],
)
def test_names_of_binary_features(dataset, names, features):
    assert dataset.features_named(names, "binary") == features


def test_not_dep_is_everything_else(dataset):
    expected = {name for name in NAMES if name != "dep_nsubj"}
    assert set(dataset.features_named(("not-dep",), "binary")) == expected


def test_a_category_is_one_feature_for_a_study_of_classes(dataset):
    assert dataset.features_named(("upos",), "multiclass") == ("upos",)


def test_groups_are_those_of_ewt_only(dataset):
    other = FeatureDataset(replace(dataset.description, collection="x"), dataset.sequences, dataset.probes)
    assert other.features_named(("upos",), "binary") == ("upos",)
    with pytest.raises(DatasetError, match="has no feature morph"):
        other.features_named(("upos,morph",), "binary")


def test_an_unknown_name_in_a_list_is_named(dataset):
    with pytest.raises(DatasetError, match="has no feature upos_NUON"):
        dataset.features_named(("upos_VERB,upos_NUON",), "binary")
