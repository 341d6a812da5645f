"""The data of features in every variant of a layer: its basis, shuffled labels, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.bases import BASES
from sparse_probing.probes.inference.shuffled_labels import shuffled_labels
from sparse_probing.probes.inputs.one_thread import one_thread
from sparse_probing.probes.inputs.scaling import Scaling
from sparse_probing.studies.base.feature_data import FeatureData, SplitRows, random_numbers
from sparse_probing.studies.base.feature_splits import FeatureSplit
from sparse_probing.studies.base.variants import Variant


def data_of_variants(
    config: ProbingConfig,
    variants: Sequence[Variant],
    splits: Sequence[FeatureSplit],
    layer: int,
    read: Callable[[bool], NDArray],
) -> Iterator[list[FeatureData]]:
    """Yield, for each variant, the data of all features in it.

    Parameters
    ----------
    config : ProbingConfig
    variants : sequence of Variant
        Bases and controls.
    splits : sequence of FeatureSplit
    layer : int
        Number of the layer.
    read : callable
        ``read(random_init)`` returns the activations (N, width) of the model, or of the model with random weights.
    """
    seed = config.activations.seed
    trained = read(False)
    for variant in variants:
        activations = read(True) if variant.random_init else trained
        # One thread: several add numbers in another order, and proofs depend on the last bits of a rotated layer.
        with one_thread():
            directions = BASES[variant.basis](activations, np.random.default_rng((seed, layer, variant.trial)))
        yield [feature_data(split, directions, variant, config.fit.scaling_of_neurons, seed, layer) for split in splits]


def feature_data(
    split: FeatureSplit, activations: NDArray, variant: Variant, scaling: Scaling, seed: int, layer: int = 0
) -> FeatureData:
    """Return the data of one split in one variant; its neurons are not ranked yet.

    Every feature, layer, fold, trial and control has its own random numbers, so that means over them
    average chance.

    Parameters
    ----------
    split : FeatureSplit
    activations : (N, width) array
        The layer in the basis of the variant.
    variant : Variant
    scaling : {"rms", "unit", "paper", "none"}
        How neurons are scaled for the fit.
    seed : int
    layer : int
        Number of the layer.
    """
    entropy = (seed, layer, split.fold, variant.trial, crc32(f"{split.feature}/{variant.control}".encode()))
    rng = random_numbers(entropy, "labels")
    train, test = (_split_rows(split, indices, variant, rng) for indices in (split.split.train, split.split.test))
    return FeatureData(
        split.feature,
        split.kind,
        activations,
        train,
        test,
        scaling,
        entropy,
        split.fold,
        variant,
        classes=split.rows.classes,
    )


def _split_rows(split: FeatureSplit, indices: NDArray, variant: Variant, rng: np.random.Generator) -> SplitRows:
    """Return the training or test rows; labels are shuffled among them, so that both keep all classes, however rare."""
    rows = split.rows
    label, sequence, group = rows.label[indices], rows.sequence[indices], rows.group[indices]
    if variant.shuffle_labels:
        label = shuffled_labels(label, group, rng, sequence, keep_classes=split.kind != "regression")
    return SplitRows(rows.row[indices], label, sequence, group)
