"""`MakeConfig`: ranges of its values, its output folder, and the options that are recorded."""

from pathlib import Path
from typing import get_args

import pytest

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.make import COLLECTIONS, collection_config
from probing_datasets.make_config import CollectionName, MakeConfig


def test_every_collection_has_a_name():
    assert set(get_args(CollectionName)) == set(COLLECTIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("texts_per_label", 0),
        ("sequences_per_text", 0),
        ("min_tokens", 0),
        ("positions_per_sequence", -1),
        ("rows_per_feature", 0),
        ("min_positives", 0),
        ("num_proc", 0),
        ("n_sequences", 0),
        ("n_sequences", -2),
        ("ignore_first", -1),
        ("positive_fraction", 0.0),
        ("positive_fraction", 1.0),
        ("positive_fraction", float("nan")),
    ],
)
def test_values_outside_their_range(name, value):
    with pytest.raises(SettingsError, match=f"--{name} must .*, not {value}"):
        MakeConfig("natural_lang_id", **{name: value})


def test_output_folder_comes_from_the_environment_and_is_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(tmp_path / "there"))
    config = MakeConfig("text_features")
    assert config.output_dir == tmp_path / "there"
    assert "output_dir" not in config.options()
    assert MakeConfig("text_features", output_dir=Path("flag")).output_dir == Path("flag")


def test_options_replay():
    config = MakeConfig("text_features", seed=7, min_positives=3)
    options = config.options()
    assert collection_config(options.pop("collection"), **options) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": ()}, "--source is empty"),
        ({"source": ("a.csv", "")}, "--source is empty"),
        ({"name": "é" * 51}, "--name is too long for a folder: 102 bytes"),
        ({"separator": "ab"}, "--separator must be one sign"),
        ({"separator": '"'}, "--separator must be one sign"),
        ({"encoding": "latin-99"}, "--encoding 'latin-99' is not known"),
        ({"encoding": "base64"}, "--encoding 'base64' is not known"),
        ({"name": "../x"}, "--name must consist of letters"),
    ],
)
def test_settings_of_sources_are_checked(settings, message):
    with pytest.raises(SettingsError, match=message):
        MakeConfig("text_features", **settings)


def test_a_tab_may_be_written_as_in_a_shell():
    assert MakeConfig("text_features", separator="\\t").separator == "\t"
