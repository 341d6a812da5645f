"""A data set with planted neurons and its activation store, for runs of stage 2."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from probing_datasets.feature_dataset import (
    Description,
    FeatureDataset,
    FeatureKind,
    Probes,
    build_feature_dataset,
    load_feature_dataset,
)
from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows, probed_rows
from probing_datasets.model_names import model_identity
from sparse_probing.activations.stores import ZarrStore
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.splits.grouped_split import Split, grouped_stratified_split

N_SEQUENCES, POSITIONS, WIDTH = 80, 3, 20
N_LAYERS = 2


def planted_settings(**flags: object) -> ProbingConfig:
    """Return settings of stage 2 for the planted data set and store, with small probes in this process."""
    defaults = {
        "model": "tiny",
        "feature_dataset": "made.tiny.16.-1",
        "cluster": "debug",
        "max_k": 8,
        "n_neurons": 6,
        "features_per_task": 1,
    }
    return ProbingConfig.from_flags(**defaults | flags)


def dataset_of_sequences(
    labels: Mapping[str, NDArray],
    kinds: Mapping[str, FeatureKind] | None = None,
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> FeatureDataset:
    """Return sequences of ten tokens, two in a group, with three probed positions each; labels are by sequence."""
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
        name: ((kinds or {}).get(name, "binary"), Probes(sequence, position + 1, label[sequence]))
        for name, label in labels.items()
    }
    return build_feature_dataset(description, tokens, groups, probes, classes)


def planted_activations(labels: Mapping[str, NDArray], sequence: NDArray, rng: np.random.Generator) -> NDArray:
    """Return (layers, rows, width) noise in which neuron 5 of layer 1 encodes `strong`, neuron 7 of layer 0 `weak`."""
    activations = rng.standard_normal((N_LAYERS, len(sequence), WIDTH)).astype(np.float32)
    activations[1, :, 5] += 3 * labels["strong"][sequence]
    activations[0, :, 7] += labels["weak"][sequence]
    return activations


def plant(
    config: ProbingConfig,
    further: Mapping[str, NDArray],
    kinds: Mapping[str, FeatureKind] | None = None,
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Save the data set and the store of settings; ``further`` features have one label per sequence."""
    rng = np.random.default_rng(0)
    labels = {name: np.where(rng.random(N_SEQUENCES) < 0.4, 1.0, -1.0) for name in ("strong", "weak")}
    dataset = dataset_of_sequences({**labels, **further}, kinds, classes)
    dataset.save(config.activations.feature_dataset_dir / dataset.name)
    rows = probed_rows(dataset, config.activations.activation_aggregation)
    activations = planted_activations(labels, rows.sequence, rng)
    fingerprint = {
        "model": model_identity(config.activations.model),
        "dataset_hash": dataset.description.content_hash,
    }
    hook, layers = config.activations.probe_location, tuple(range(N_LAYERS))
    plan = StorePlan(fingerprint, layers, (hook,), {hook: WIDTH}, len(rows), part_rows=100, precision="32")
    store = ZarrStore.create(config.store_folder(), plan, rows.sequence, rows.position)
    for part in range(plan.n_parts):
        start, stop = plan.part_range(part)
        store.write_part(part, {(hook, layer): activations[layer, start:stop] for layer in layers})


def save_again(config: ProbingConfig, kinds: Mapping[str, FeatureKind]) -> FeatureDataset:
    """Save the data set of settings again with negated labels and features of these kinds; return it."""
    root = config.activations.feature_dataset_dir
    dataset = load_feature_dataset(config.activations.feature_dataset, root)
    probes: dict[str, tuple[FeatureKind, Probes]] = {}
    for name in dataset.features:
        sequence, position, label = dataset.feature_probes(name)
        probes[name] = (kinds.get(name, "binary"), Probes(sequence, position, -label))
    tokens, groups = [np.array(t) for t in dataset.sequences["tokens"]], list(dataset.sequences["group"])
    changed = build_feature_dataset(dataset.description, tokens, groups, probes)
    changed.save(root / dataset.name)
    return changed


def stored_arrays(config: ProbingConfig, feature: str, layer: int) -> tuple[NDArray, NDArray, list[str]]:
    """Return activations, labels and names of groups of the rows of a feature, as a person would read them."""
    dataset = load_feature_dataset(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    store = ZarrStore.open(config.store_folder())
    rows = feature_rows(dataset, feature, ProbedRows(*store.rows), config.activations.activation_aggregation)
    groups = [str(dataset.sequences["group"][i]) for i in rows.sequence]
    return store.read(layer, dtype=None)[rows.row], rows.label, groups


def reference_split(config: ProbingConfig, layer: int, feature: str) -> tuple[NDArray, NDArray, Split]:
    """Return float64 activations, labels and the split of a feature, from the saved data set and the store."""
    dataset = load_feature_dataset(config.activations.feature_dataset, config.activations.feature_dataset_dir)
    sequence, _, label = dataset.feature_probes(feature)
    x = ZarrStore.open(config.store_folder()).read(layer).astype(np.float64)
    split = grouped_stratified_split(label, sequence // 2, config.split.test_set_frac, config.activations.seed)
    return x, label, split
