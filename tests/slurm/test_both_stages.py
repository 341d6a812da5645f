"""Both stages from one command, on a real Slurm."""

import shlex

import pytest

from sparse_probing.activations.stores import open_store
from tests.builders.runs import folder_with_traps


@pytest.fixture
def flags(tiny_harvest):
    """Flags of both stages on the tiny model: a task for each layer."""
    named = ["--model", tiny_harvest.activations.model, "--feature_dataset", tiny_harvest.activations.feature_dataset]
    named += [
        "--feature_dataset_dir",
        str(tiny_harvest.activations.feature_dataset_dir),
        "--activation_aggregation",
        "mean",
    ]
    return [*named, "--feature_subset", "German", "--max_k", "2", "--mem", "1G", "--time", "5", "--harvest_gpus", "0"]


def test_stage_two_begins_when_stage_one_has_ended(slurm, probe, states, results, tiny_harvest, monkeypatch, tmp_path):
    monkeypatch.chdir(folder_with_traps(tmp_path / "folder of a user"))
    status, out, _ = probe("--harvest", "--harvest_jobs", 2)
    assert status == 0
    first, second, _ = out.splitlines()
    assert first.startswith("submitted harvest-")
    assert second.startswith("submitted probe-")
    assert len(slurm.queue()) == 4
    _, again, _ = probe("--harvest", "--harvest_jobs", 2)
    assert again.startswith("nothing was submitted")
    assert len(slurm.queue()) == 4
    assert slurm.wait_for_end(200) == {"COMPLETED": 4}
    assert states() == {"done": 2}
    assert open_store(tiny_harvest.with_flags(activation_aggregation="mean").store_folder()).verify() == []
    assert probe("--harvest")[0] == 0
    assert len(slurm.queue()) == 4


def test_when_stage_one_fails_stage_two_is_cancelled_and_a_rerun_resumes(slurm, probe, states):
    assert probe("--harvest", "--harvest_flags=--layers 9")[0] == 1  # an error before anything is submitted
    assert not slurm.queue()
    assert probe("--harvest", "--setup", '[ -n "$SLURM_ARRAY_JOB_ID" ] || exit 3')[0] == 0
    assert slurm.wait_for_end(200) == {"FAILED": 1, "CANCELLED": 2}
    status, _, err = probe(command=["status"])
    assert status == 1
    assert "There is no run of these settings in " in err
    assert "ended before they created it. Their logs: `logs harvest` prints those of stage 1" in err
    assert probe("--harvest", "--wait")[0] == 0
    assert states() == {"done": 2}


def test_a_dry_run_shows_both_scripts(slurm, probe, tiny_harvest):
    status, out, err = probe("--harvest", "--dry_run")
    assert (status, err) == (0, "")
    assert out.count("sbatch --test-only: sbatch: Job") == 2
    assert "#SBATCH --dependency=afterok:JOB1" in out
    calls = [shlex.split(line) for line in out.splitlines() if line.startswith("srun ")]
    assert ["/harvests/" in call[-1] for call in calls] == [True, False]
    assert not slurm.queue()
    assert not tiny_harvest.activations.results_dir.exists()
