"""The data sets of ``--test_feature_dataset``: opened, and checked to be comparable with the run's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import ProbeError, StoreError, first_names
from sparse_probing.config import ProbingConfig
from sparse_probing.runs.planning.run_inputs import Inputs, open_inputs

SAME_IN_BOTH = ("model", "weight_hash", "tokenizer_hash")
"""What the two stores must agree in, for scores to mean the same."""


def open_other_datasets(config: ProbingConfig, own: Inputs, layers: Iterable[int]) -> dict[str, Inputs]:
    """Open the data sets of ``--test_feature_dataset`` with their stores, and return them by name.

    Parameters
    ----------
    config : ProbingConfig
        Settings of the run.
    own : Inputs
        Data set and store of the run.
    layers : iterable of int
        Layers whose probes are scored.

    Raises
    ------
    DatasetError
        When a data set does not exist, or its store was made from another version of it.
    StoreError
        When a store is missing, incomplete, has not all layers, or is of another model or tokenizer.
    ProbeError
        When a data set is that of the run.
    """
    others: dict[str, Inputs] = {}
    wanted = set(layers)
    for name in config.reading.test_feature_dataset:
        inputs = open_inputs(config.with_flags(feature_dataset=name, controls=()))
        for key in SAME_IN_BOTH:
            if inputs.store.plan.fingerprint.get(key) != own.store.plan.fingerprint.get(key):
                raise StoreError(f"{inputs.store.path} and {own.store.path} differ in {key}: probes do not transfer.")
        if inputs.dataset.description.content_hash == own.dataset.description.content_hash:
            raise ProbeError(
                f"{name} has the texts and labels of the data set of the run, on which the probes were trained. Choose "
                "another --test_feature_dataset."
            )
        if missing := sorted(wanted - set(inputs.store.plan.layers)):
            raise StoreError(
                f"The store in {inputs.store.path} has no layer {first_names(missing)}, which the run probes. "
                "Harvest these layers of that data set too, or choose other --layers."
            )
        others[name] = inputs
    return others


def score_names_of(dataset: FeatureDataset, feature: str) -> list[str]:
    """Return the names of the scores of a feature's probe: the classes, or the name of a binary feature."""
    whole, of_class = dataset.feature_and_class(feature)
    info = dataset.description.features[whole]
    if of_class is not None or info.kind == "binary":
        return [feature]
    return [info.label_name(label) for label in info.counts]


def check_comparable(name: str, other: FeatureDataset, scores: Mapping[str, Sequence[str]]) -> None:
    """Raise ProbeError unless a feature of another data set has a class of a probe, or two classes.

    Parameters
    ----------
    name : str
        Of the other data set.
    other : FeatureDataset
    scores : mapping
        Names of the scores of every feature of the run.
    """
    for feature, info in other.description.features.items():
        if info.kind == "regression":
            continue
        classes = score_names_of(other, feature)
        if info.kind == "binary" or len(classes) == 2 or any(set(classes) & set(of) for of in scores.values()):
            return
    raise ProbeError(
        f"No feature of {name} has a class of a probe, or two classes. Choose another --test_feature_dataset."
    )
