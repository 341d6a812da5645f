"""Fixtures that several rooms share: a tiny random model with its tokenizer, and a data set for it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from sparse_probing.config import HarvestConfig, ProbingConfig
from tests.builders import planted_runs
from tests.builders.models import save_tiny_model

# A law holds however long a busy machine takes for an example.
settings.register_profile("no timing", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no timing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run the tests of a file, which share fixtures, and one those of the only Slurm cluster."""
    for item in items:
        group = "slurm" if item.path.parent.name == "slurm" else item.path.relative_to(item.config.rootpath).as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """Take Ctrl-C as a terminal gives it: a shell starts what it puts into the background without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_progress_bars() -> None:
    """Let tests compare what a command prints, whichever test is the first to run a command."""
    datasets.disable_progress_bars()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the folders, the caches or the network of the person who runs it."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(tmp_path / "feature_datasets"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Both libraries read the variable when they are imported, which is before this line.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer GPT-NeoX with its byte-level BPE tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_dataset_root(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FEATURE_DATASET_DIR with `natural_lang_id.tiny.64.-1`, made of the bundled texts."""
    root = tmp_path_factory.mktemp("feature_datasets")
    make_dataset(MakeConfig("natural_lang_id", tokenizer=str(tiny_model_dir), output_dir=root))
    return root


@pytest.fixture
def tiny_dataset(tiny_dataset_root: Path) -> FeatureDataset:
    return load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root)


@pytest.fixture
def tiny_harvest(tiny_model_dir: Path, tiny_dataset_root: Path, tmp_path: Path) -> HarvestConfig:
    """Settings of a harvest of the tiny model over the tiny data set, one row per token."""
    return HarvestConfig.from_flags(
        model=str(tiny_model_dir),
        feature_dataset="natural_lang_id.tiny.64.-1",
        feature_dataset_dir=tiny_dataset_root,
        results_dir=tmp_path / "results",
    )


@pytest.fixture
def plant() -> Callable[..., ProbingConfig]:
    """A function that makes a data set and its activations, and returns settings of stage 2 for them.

    Feature `strong` is encoded by neuron 5 of layer 1, `weak` more weakly by neuron 7 of layer 0;
    everything else is noise. Further features are passed by name, as one label per sequence, their kinds and the
    names of their classes as `kinds` and `classes`.
    """
    config = planted_runs.planted_settings()

    def make(kinds: Any = None, classes: Any = None, **further: np.ndarray) -> ProbingConfig:
        planted_runs.plant(config, further, kinds, classes)
        return config

    return make
