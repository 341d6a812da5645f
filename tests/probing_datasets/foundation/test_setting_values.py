"""Numbers that no setting can mean are refused by name, on the command line, in Python, and in records."""

import pytest

from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.setting_values import LARGEST, check_whole_numbers
from probing_datasets.make_config import MakeConfig
from sparse_probing.config import HarvestConfig, ProbingConfig


def test_numbers_within_the_bounds_and_other_values_pass():
    check_whole_numbers({"a": LARGEST, "b": -LARGEST, "c": (0, 1), "d": "text", "e": None, "f": 1e300, "g": True})


@pytest.mark.parametrize("value", [LARGEST + 1, -LARGEST - 1, (0, 10**30)])
def test_larger_numbers_are_refused(value):
    with pytest.raises(SettingsError, match=r"--name .* is too (large: at most 2147|small: at least -2147)"):
        check_whole_numbers({"name": value})


@pytest.mark.parametrize("name", ["seed", "batch_size", "n_threads", "rank", "top_k", "n_bin"])
def test_stage_1_refuses_them(name):
    with pytest.raises(SettingsError, match=f"--{name} "):
        HarvestConfig.from_flags(experiment_type="full_activation_histogram", **{name: 10**24})


@pytest.mark.parametrize("name", ["seed", "max_k", "n_permutations", "features_per_task", "workers", "time"])
def test_stage_2_refuses_them(name):
    with pytest.raises(SettingsError, match=f"--{name} "):
        ProbingConfig.from_flags(**{name: 10**24})
    with pytest.raises(SettingsError, match=f"--{name} "):
        ProbingConfig.from_record(ProbingConfig().record() | {name: 10**24})


def test_ks_and_layers_are_checked_one_by_one():
    with pytest.raises(SettingsError, match="--ks 1000000000000 is too large"):
        ProbingConfig.from_flags(ks=(1, 10**12))


@pytest.mark.parametrize("name", ["seed", "context_length", "rows_per_feature"])
def test_make_refuses_them(name):
    with pytest.raises(SettingsError, match=f"--{name} "):
        MakeConfig(collection="language_id", **{name: 10**24})


def test_bins_that_fit_no_memory_are_refused():
    with pytest.raises(SettingsError, match="--n_bin 1000000 is too large: at most 65536"):
        HarvestConfig.from_flags(experiment_type="full_activation_histogram", n_bin=10**6)
