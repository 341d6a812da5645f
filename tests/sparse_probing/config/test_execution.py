"""Where tasks run: ranges, settings that contradict one another, resources of both stages, the share of an array."""

import pytest

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import HarvestFirstConfig, ProbingConfig, Resources, ShareConfig, SlurmConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"time": 0}, "--time must be at least 1"),
        ({"tasks_per_job": 0}, "--tasks_per_job must be at least 1"),
        ({"harvest_jobs": -1}, "--harvest_jobs must be at least 1, not -1"),
        ({"throttle": -1}, "--throttle and --gpus must be at least 0"),
        ({"rank": 2, "world_size": 2}, "--rank must be from 0 to 1, not 2. A Slurm array with gaps"),
        ({"world_size": 2, "cluster": "slurm"}, "for one process, and this process is one of several"),
        ({"world_size": 2, "harvest": True}, "for one process, and this process is one of several"),
        ({"after": "12"}, "--after needs --cluster slurm"),
    ],
)
def test_settings_that_contradict_or_are_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        ProbingConfig.from_flags(**settings)


def test_stage_one_has_the_resources_of_stage_two_unless_others_are_given():
    slurm = SlurmConfig(partition="cpu", time=30, mem="4G", cpus_per_task=2, constraint="avx2")
    assert slurm.resources == Resources("cpu", 30, "4G", 2, 0, "avx2")
    assert HarvestFirstConfig().resources(slurm) == Resources("cpu", 30, "4G", 2, 1, "avx2")
    stage_one = HarvestFirstConfig(harvest_partition="gpu", harvest_time=60, harvest_gpus=2, harvest_mem="32G")
    assert stage_one.resources(slurm) == Resources("gpu", 60, "32G", 2, 2, "avx2")


def test_the_share_of_an_array_comes_from_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_STEP", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "4")
    assert ShareConfig() == ShareConfig(2, 4)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert ShareConfig() == ShareConfig(0, 1)


def test_shares_are_disjoint_and_complete():
    shares = [ShareConfig(rank, 3).of("abcdefgh") for rank in range(3)]
    assert shares == ["adg", "beh", "cf"]
