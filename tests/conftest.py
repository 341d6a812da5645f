"""Fixtures that several rooms share: a tiny random model with its tokenizer, and a data set for it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from probing_datasets.feature_dataset import (
    Description,
    FeatureDataset,
    FeatureKind,
    Probes,
    build_feature_dataset,
    load_feature_dataset,
)
from probing_datasets.feature_dataset.probed_rows import probed_rows
from probing_datasets.make import make_dataset
from probing_datasets.make_config import MakeConfig
from probing_datasets.model_names import model_identity
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.config import HarvestConfig, ProbingConfig
from tests.builders.models import save_tiny_model


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """Take Ctrl-C as a terminal gives it: a shell starts what it puts into the background without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """A random two-layer GPT-NeoX with a byte-level BPE tokenizer of its own."""
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


N_SEQUENCES, POSITIONS, WIDTH = 80, 3, 20


def _planted_dataset(labels: dict[str, np.ndarray]) -> FeatureDataset:
    """Sequences of ten tokens, two in a group, three probed positions each; labels are by sequence."""
    description = Description(
        name="made.tiny.16.-1",
        collection="made",
        tokenizer="tiny",
        tokenizer_hash="none",
        context_length=16,
        n_prefix=1,
        n_suffix=0,
        seed=0,
        source={},
        options={},
    )
    tokens = [np.full(10, i, np.int32) for i in range(N_SEQUENCES)]
    groups = [f"document {i // 2}" for i in range(N_SEQUENCES)]
    sequence, position = np.divmod(np.arange(N_SEQUENCES * POSITIONS), POSITIONS)
    probes: dict[str, tuple[FeatureKind, Probes]] = {
        name: ("binary", Probes(sequence, position + 1, label[sequence])) for name, label in labels.items()
    }
    return build_feature_dataset(description, tokens, groups, probes)


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., ProbingConfig]:
    """A function that makes a data set and its activations, and returns settings of stage 2 for them.

    Feature `strong` is known to neuron 5 of layer 1, `weak` to neuron 7 of layer 0 and less so;
    everything else is noise. Further features are given by name, as one label per sequence.
    """
    config = ProbingConfig.from_flags(
        model="tiny", feature_dataset="made.tiny.16.-1", cluster="debug", max_k=8, n_neurons=6, features_per_task=1
    )

    def make(**further: np.ndarray) -> ProbingConfig:
        rng = np.random.default_rng(0)
        labels = {name: np.where(rng.random(N_SEQUENCES) < 0.4, 1.0, -1.0) for name in ("strong", "weak")}
        dataset = _planted_dataset(labels | further)
        dataset.save(config.activations.feature_dataset_dir / dataset.name)
        rows = probed_rows(dataset, "none")
        activations = rng.standard_normal((2, len(rows), WIDTH)).astype(np.float32)
        activations[1, :, 5] += 3 * labels["strong"][rows.sequence]
        activations[0, :, 7] += labels["weak"][rows.sequence]
        fingerprint = {
            "model": model_identity(config.activations.model),
            "dataset_hash": dataset.description.content_hash,
        }
        hook = config.activations.probe_location
        plan = StorePlan(fingerprint, (0, 1), (hook,), {hook: WIDTH}, len(rows), part_rows=100, precision="32")
        store = ZarrStore.create(config.store_folder(), plan, rows.sequence, rows.position)
        for part in range(plan.n_parts):
            start, stop = plan.part_range(part)
            store.write_part(part, {(hook, layer): activations[layer, start:stop] for layer in (0, 1)})
        return config

    return make
