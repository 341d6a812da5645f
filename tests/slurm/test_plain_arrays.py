"""Arrays that a user submits with sbatch: every entry runs its share, whatever the first index is."""

import subprocess
from pathlib import Path

import pytest

from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.stores import open_store

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path("experiments/batch_scripts")


def files(folder):
    """Return the files of a store by name, without the one that names its maker."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != "provenance.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("array", [pytest.param("0-1", marks=pytest.mark.slow), "1-2"])
def test_stage_one(slurm, tiny_harvest, tmp_path, array):
    config = tiny_harvest.with_flags(experiment_type="all_activations")
    expected = config.with_flags(results_dir=tmp_path / "one process")
    slurm.sbatch(
        f"--array={array}",
        f"--output={tmp_path}/%a.log",
        SCRIPTS / "harvest.sh",
        *("--experiment_type", "all_activations"),
        MODEL=config.activations.model,
        FEATURE_DATASET=config.activations.feature_dataset,
        FEATURE_DATASET_DIR=config.activations.feature_dataset_dir,
        RESULTS_DIR=config.activations.results_dir,
        DEVICE="cpu",
    )
    assert slurm.wait_for_end() == {"COMPLETED": 2}
    assert open_store(config.store_folder()).verify() == []
    harvest(expected)
    assert files(config.store_folder()) == files(expected.store_folder())
    assert open_store(config.store_folder()).plan.n_parts > 3


@pytest.mark.parametrize(("array", "how"), [("0-2", "local"), ("1-3", "debug")])
def test_stage_two(slurm, probe, plant, results, monkeypatch, tmp_path, array, how):
    config = plant()
    slurm.sbatch(
        f"--array={array}",
        f"--output={tmp_path}/%a.log",
        SCRIPTS / "sweep.sh",
        *("--max_k", "4", "--features_per_task", "1", "--cluster", how, "--workers", "1"),
        MODEL=config.activations.model,
        FEATURE_DATASET=config.activations.feature_dataset,
    )
    assert slurm.wait_for_end() == {"COMPLETED": 3}
    first, second, third = slurm.queue()
    assert list(results.jobs().values()) == [first, second, third, first]
    by_array, activations = results.rows(), config.activations.results_dir / "activations"
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "debug"))
    assert probe("--activations_dir", activations, cluster="debug")[0] == 0
    assert results.rows() == by_array


@pytest.mark.parametrize("script", sorted((REPOSITORY / SCRIPTS).glob("*.sh")), ids=lambda path: path.stem)
def test_slurm_accepts(slurm, script):
    answer = subprocess.run(["sbatch", "--test-only", "--array=0-7", script], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
