"""Settings in sections: one flat name for each, records that are read back, and helpful errors."""

import doctest
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import HarvestConfig, ProbingConfig, sections
from sparse_probing.config.sections import section_of

both = pytest.mark.parametrize("kind", [HarvestConfig, ProbingConfig])


@both
def test_no_two_settings_share_a_name(kind):
    names = []
    kinds = sections.sections(kind)
    for field in fields(kind):
        names += [setting.name for setting in fields(kinds[field.name])] if field.name in kinds else [field.name]
    assert sorted(names) == sorted(set(names)) == sorted(section_of(kind))


def test_a_setting_of_both_stages_is_in_the_same_section():
    first, second = section_of(HarvestConfig), section_of(ProbingConfig)
    common = (first.keys() & second.keys()) - {"batch_size"}  # stage 2 accepts it, and does not use it
    assert {name: first[name] for name in common} == {name: second[name] for name in common}


@both
def test_a_record_is_read_back(kind, tmp_path):
    config = kind.from_flags(layers=(1, 2), seed=3, results_dir=tmp_path / "r", feature_dataset_dir=Path("sets"))
    assert kind.from_record(config.record()) == config
    full = kind.from_record(config.record_with_full_paths())
    assert full.activations.feature_dataset_dir == Path.cwd() / "sets"
    assert full.with_flags(feature_dataset_dir=Path("sets")) == config


def test_changed_settings_leave_the_others():
    config = ProbingConfig.from_flags(max_k=7, regularization=2.0)
    changed = config.with_flags(max_k=9)
    assert (changed.search.max_k, changed.fit.regularization, config.search.max_k) == (9, 2.0, 7)


def test_the_error_for_an_unknown_setting_lists_all_the_most_similar_first():
    with pytest.raises(SettingsError, match="no setting 'regularisation'. Settings with similar names: regularization"):
        ProbingConfig.from_flags(regularisation=1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"activation_aggregation": "meen"},
            "--activation_aggregation cannot be 'meen'. Choose from none, mean, max, last",
        ),
        ({"controls": ("shuffled_lables",)}, "--controls cannot be 'shuffled_lables'. Choose from shuffled_labels, "),
        ({"controls": "rotation"}, "--controls takes several values, as a tuple or a list; got 'rotation'"),
        ({"experiment_type": ("l1_paths",)}, "--experiment_type cannot be 'l1_paths'. Choose from l1_path, "),
        ({"cluster": "bogus"}, "--cluster cannot be 'bogus'. Choose from debug, local, slurm"),
        ({"layers": 2}, "--layers takes several values"),
        ({"max_k": "8"}, "--max_k takes a value of type int; got '8'"),
        ({"max_k": 8.0}, "--max_k takes a value of type int; got 8.0"),
        ({"seed": True}, "--seed takes a value of type int; got True"),
        ({"random_init": 1}, "--random_init takes a value of type bool; got 1"),
        ({"regularization": "1"}, "--regularization takes a value of type float; got '1'"),
        ({"harvest_time": "long"}, "--harvest_time takes a value of type int; got 'long'"),
    ],
)
def test_values_of_the_wrong_type_and_unknown_choices_are_refused(flags, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        ProbingConfig.from_flags(**flags)


def test_values_become_their_type():
    given = {"layers": [1, np.int64(2)], "regularization": 2, "results_dir": "there", "harvest_time": None}
    config = ProbingConfig.from_flags(**given)
    assert config.layers == (1, 2)
    assert {type(layer) for layer in config.layers} == {int}
    assert isinstance(config.fit.regularization, float)
    assert config.activations.results_dir == Path("there")
    assert config.harvest_first.harvest_time is None


def test_examples():
    assert doctest.testmod(sections).failed == 0
