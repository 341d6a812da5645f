"""Both configurations: ranges, settings that contradict one another, and the folders that they name."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from probing_datasets.foundation.errors import DamagedFileError, SettingsError
from sparse_probing.config import HarvestConfig, HarvestType, ProbingConfig, result_folders
from sparse_probing.config.harvest import EXPERIMENT_TYPES_OF_SETTINGS
from sparse_probing.config.result_folders import dataset_name, model_name
from sparse_probing.runs.planning.run_record import settings_folder


def test_both_stages_name_the_same_store(tmp_path):
    shared: dict[str, Any] = {
        "model": "EleutherAI/pythia-70m",
        "revision": "step3000",
        "feature_dataset": "text.pyth.24.-1",
    }
    shared |= {"activation_aggregation": "max", "results_dir": tmp_path}
    folder = tmp_path / "activations" / "pythia-70m@step3000" / "text.pyth.24.-1" / "mlp.hook_post.max"
    assert (
        HarvestConfig.from_flags(**shared).store_folder() == ProbingConfig.from_flags(**shared).store_folder() == folder
    )


@pytest.mark.parametrize("text", ["foo://x", "s3:/x"])
def test_a_place_of_stores_that_is_not_a_url_is_refused(text):
    with pytest.raises(SettingsError, match=f"--activations_dir '{text}' is neither a folder nor a URL"):
        HarvestConfig.from_flags(activations_dir=text).store_folder()


def test_every_setting_that_decides_the_activations_has_its_own_folder():
    config = HarvestConfig.from_flags(model="demo")
    others = [
        {"model": "gpt2"},
        {"revision": "main"},
        {"random_init": True},
        {"random_init": True, "seed": 1},
        {"feature_dataset": "other.demo.256.-1"},
        {"probe_location": "hook_resid_post"},
        {"activation_aggregation": "mean"},
        {"probe_next_token_feature": True},
        {"experiment_type": "all_activations"},
    ]
    paths = {config.store_folder(), *(config.with_flags(**other).store_folder() for other in others)}
    assert len(paths) == len(others) + 1


def test_the_seed_of_trained_weights_does_not_matter():
    assert HarvestConfig.from_flags(seed=1).store_folder() == HarvestConfig.from_flags(seed=2).store_folder()
    assert model_name(HarvestConfig.from_flags(seed=1, random_init=True).activations) == "demo+random1"


def test_a_data_set_given_as_a_path_is_called_by_its_folder():
    activations = HarvestConfig.from_flags(feature_dataset="/data/sets/text.pyth.24.-1").activations
    assert dataset_name(activations) == "text.pyth.24.-1"


def test_folders_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RESULTS_DIR", "/somewhere/results")
    monkeypatch.setenv("FEATURE_DATASET_DIR", "/somewhere/sets")
    config = ProbingConfig()
    assert (config.activations.results_dir, config.activations.feature_dataset_dir) == (
        Path("/somewhere/results"),
        Path("/somewhere/sets"),
    )


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (HarvestConfig, {"batch_size": 0}, "--batch_size must be at least 1, not 0"),
        (ProbingConfig, {"max_k": 0}, "--max_k must be at least 1, not 0"),
        (ProbingConfig, {"n_neurons": -3}, "--n_neurons must be at least 1, not -3"),
        (ProbingConfig, {"features_per_task": 0}, "--features_per_task must be at least 1"),
        (ProbingConfig, {"workers": 0}, "--workers must be at least 1"),
        (ProbingConfig, {"test_set_frac": 1.0}, "--test_set_frac must be between 0 and 1, not 1.0"),
        (ProbingConfig, {"test_set_frac": float("nan")}, "--test_set_frac must be between 0 and 1, not nan"),
        (HarvestConfig, {"seed": -1}, "--seed must be at least 0, not -1"),
        (ProbingConfig, {"regularization": float("inf")}, "--regularization must be positive and finite, not inf"),
        *(
            (ProbingConfig, {"experiment_name": name}, re.escape(f"--experiment_name {name!r} must be letters"))
            for name in ("../up", "a/../b", "/absolute", "a//b", "a/", "a/.hidden", "a\\b", "", ".", "a/..", "a\nb")
        ),
        (ProbingConfig, {"regularization": 0.0}, "--regularization must be positive and finite, not 0.0"),
    ],
)
def test_values_outside_their_range_are_refused(kind, setting, message):
    with pytest.raises(SettingsError, match=message):
        kind.from_flags(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"positions": (1,)},
            "--positions is for --experiment_type all_activations or activation_subset or neuron_subset",
        ),
        ({"flatten_and_ignore_padding": True}, "is for --experiment_type all_activations"),
        ({"probe_next_token_feature": True, "experiment_type": "all_activations"}, "activation_probe_dataset"),
        (
            {"positions": (1,), "experiment_type": "all_activations", "activation_aggregation": "mean"},
            "need --activation_aggregation none",
        ),
        (
            {"neuron_subset": ("1,2",)},
            r"--neuron_subset is for --experiment_type activation_subset or neuron_subset, not for activ",
        ),
        ({"neuron_subset_file": Path("a.csv")}, "--neuron_subset_file is for .* activation_subset"),
        ({"save_by_neuron": True}, "--save_by_neuron is for .* activation_subset"),
        ({"skip_computing_token_summary_df": True}, "--skip_computing_token_summary_df is for"),
        ({"auto_restrict_neuron_subset_file": True, "experiment_type": "activation_subset"}, "needs a file"),
        ({"top_k": 5}, "--top_k is for --experiment_type full_activation_histogram"),
        ({"histogram_by_class": True, "experiment_type": "activation_subset"}, "--histogram_by_class is for"),
        ({"store": "hdf5", "experiment_type": "activation_subset"}, "--store is for"),
        ({"activations_dir": "s3://b/a", "experiment_type": "activation_subset"}, "--activations_dir is for"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(setting, message):
    with pytest.raises(SettingsError, match=message):
        HarvestConfig.from_flags(**setting)


@pytest.mark.parametrize("experiment_type", get_args(HarvestType))
def test_flags_with_their_defaults_are_accepted_by_every_type(experiment_type):
    given = {name: HarvestConfig().flags()[name] for name in EXPERIMENT_TYPES_OF_SETTINGS}
    assert HarvestConfig.from_flags(experiment_type=experiment_type, **given).experiment_type == experiment_type


def test_the_workers_of_a_cluster_job_are_its_cpus(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "7")
    assert ProbingConfig().execution.workers == 7
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "many")
    with pytest.raises(SettingsError, match="SLURM_CPUS_PER_TASK is 'many'"):
        ProbingConfig()


def test_an_experiment_name_may_have_folders_below_the_results(tmp_path):
    config = ProbingConfig.from_flags(experiment_name="paper/sweeps.2", results_dir=tmp_path)
    assert settings_folder(config).is_relative_to(tmp_path / "probing" / "paper" / "sweeps.2")


def test_the_papers_settings_that_have_no_effect_are_accepted():
    """The precision of tables is always float32, and stage 2 runs no model: neither decides a folder."""
    HarvestConfig.from_flags(experiment_type="activation_subset", neuron_subset=("1,2",), output_precision="32")
    HarvestConfig.from_flags(experiment_type="full_activation_histogram", output_precision="8")
    assert settings_folder(ProbingConfig.from_flags(batch_size=8)) == settings_folder(ProbingConfig.from_flags())


@pytest.mark.parametrize("configuration", [HarvestConfig, ProbingConfig])
def test_a_full_hook_name_is_a_hook_point_and_a_layer(configuration):
    config = configuration.from_flags(probe_location="blocks.3.hook_resid_post")
    assert (config.activations.probe_location, config.layers) == ("hook_resid_post", (3,))
    assert config == configuration.from_flags(probe_location="blocks.3.hook_resid_post", layers=(3,))
    with pytest.raises(
        SettingsError, match=r"blocks.3.hook_resid_post is of layer 3, and the layers 1, 3 are requested"
    ):
        configuration.from_flags(probe_location="blocks.3.hook_resid_post", layers=(1,))


def test_full_hook_names_of_further_locations():
    config = HarvestConfig.from_flags(further_locations=("blocks.12.attn.hook_z", "hook_resid_pre"))
    assert (config.further_locations, config.layers) == (("attn.hook_z", "hook_resid_pre"), (12,))
    with pytest.raises(SettingsError, match="the layers 1, 2 are requested"):
        HarvestConfig.from_flags(probe_location="blocks.1.mlp.hook_post", further_locations=("blocks.2.mlp.hook_pre",))


def test_no_setting_of_a_record_leads_out_of_the_results():
    hostile = [{"model": ".."}, {"model": "..", "random_init": True}, {"feature_dataset": ".."}]
    for settings in (*hostile, {"feature_dataset": ".", "model": "demo"}, {"probe_location": "../../x"}):
        with pytest.raises(DamagedFileError, match="cannot be the name of a file"):
            settings_folder(ProbingConfig.from_flags(**settings))
    activations = ProbingConfig().activations
    for experiment in ("a/../..", "/etc", "..", "a//b"):
        with pytest.raises(DamagedFileError, match="The setting experiment_name contains"):
            result_folders.settings_folder(activations, experiment, ("compare_rankings",), "digest")
    for kind, hook_point in (("..", "mlp.hook_post"), ("activation_subset", "../x")):
        with pytest.raises(DamagedFileError, match="cannot be the name of a file"):
            result_folders.tables_folder(activations, kind, hook_point)


@pytest.mark.parametrize("name", ["class_order", "test_feature_dataset"])
def test_settings_of_reading_probes_are_refused_where_none_are_fitted(name):
    with pytest.raises(SettingsError, match=f"--{name} is for --experiment_type reading_probes"):
        ProbingConfig.from_flags(**{name: ("a", "b")})
    both = ("dense_probe", "reading_probes")
    assert ProbingConfig.from_flags(experiment_type=both, **{name: ("a", "b")}).flags()[name] == ("a", "b")
