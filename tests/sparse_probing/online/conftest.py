"""The data set of the tests of online probes: label sets of every kind on the bundled texts."""

import pytest

from probing_datasets.feature_dataset import load_feature_dataset
from tests.builders.online import MIXED, mixed_dataset


@pytest.fixture(scope="module")
def root(tiny_dataset_root, tmp_path_factory):
    """Folder of the mixed data set."""
    folder = tmp_path_factory.mktemp("mixed")
    mixed_dataset(load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root)).save(folder / MIXED)
    return folder
