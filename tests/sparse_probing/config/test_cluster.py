import dataclasses

import pytest

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ClusterConfig, ProbingConfig, Resources


def test_every_setting_of_the_cluster_is_a_flag_of_stage_two():
    names = {field.name for field in dataclasses.fields(ProbingConfig)}
    assert {field.name for field in dataclasses.fields(ClusterConfig)} < names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"time": 0}, "--time must be at least 1"),
        ({"tasks_per_job": 0}, "--tasks_per_job must be at least 1"),
        ({"harvest_jobs": -1}, "--harvest_jobs must be at least 1, not -1"),
        ({"throttle": -1}, "--throttle, --gpus and --harvest_gpus must be at least 0"),
        ({"rank": 2, "world_size": 2}, "--rank must lie from 0 to 1, not 2. A Slurm array with gaps"),
        ({"world_size": 2, "cluster": "slurm"}, "for one process, and this one has a share of an array"),
        ({"world_size": 2, "harvest": True}, "for one process, and this one has a share of an array"),
        ({"after": "12"}, "--after goes with --cluster slurm"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        ClusterConfig(**settings)


def test_stage_one_has_the_resources_of_stage_two_unless_it_is_given_its_own():
    config = ClusterConfig(partition="cpu", time=30, mem="4G", cpus_per_task=2, constraint="avx2")
    assert config.probe_resources == Resources("cpu", 30, "4G", 2, 0, "avx2")
    assert config.harvest_resources == Resources("cpu", 30, "4G", 2, 1, "avx2")
    own = dataclasses.replace(config, harvest_partition="gpu", harvest_time=60, harvest_gpus=2, harvest_mem="32G")
    assert own.harvest_resources == Resources("gpu", 60, "32G", 2, 2, "avx2")


def test_the_share_of_an_array_comes_from_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_STEP", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
    assert (ClusterConfig().rank, ClusterConfig().world_size) == (2, 4)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert (ClusterConfig().rank, ClusterConfig().world_size) == (0, 1)
