"""Prepare online probes: load data set and model, find the places and the rows, and check that they fit into memory."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.feature_dataset import FeatureDataset, FeatureKind, load_feature_dataset
from probing_datasets.feature_dataset.merge import merge_datasets
from probing_datasets.feature_dataset.near_duplicates import warn_of_near_duplicates
from probing_datasets.feature_dataset.probed_rows import ProbedRows, probed_rows
from probing_datasets.foundation.errors import SettingsError
from probing_datasets.foundation.hashing import digest_json
from sparse_probing.activations.inputs import fingerprint, load_inputs
from sparse_probing.config import OnlineConfig, StudyName
from sparse_probing.config.online import PoolingName, changed_settings
from sparse_probing.config.result_folders import model_name, online_folder
from sparse_probing.models import LanguageModel
from sparse_probing.online.places import (
    Location,
    Place,
    bytes_of_rows,
    find_locations,
    find_places,
    row_aggregation,
    size_in_words,
)
from sparse_probing.runs.planning.create_run import check_numbers_of_neurons, features_of_study
from sparse_probing.studies import check_studies

ALGORITHM_VERSION = 1
"""Raise when the same settings give other numbers: an unfinished run of another version is then refused."""

DEFAULT_STUDIES: dict[FeatureKind, StudyName] = {
    "binary": "dense_probe",
    "multiclass": "multinomial_sweep",
    "regression": "dense_regression_probe",
}
"""The study that fits all neurons of a place to a label set, by its kind."""


@dataclass(frozen=True)
class PreparedOnline:
    """Online probes that are ready to be trained."""

    config: OnlineConfig
    dataset: FeatureDataset
    """With ``further_datasets`` all of them as one."""
    parts: tuple[FeatureDataset, ...]
    """The data sets that it was made of."""
    model: LanguageModel
    locations: tuple[Location, ...]
    rows: dict[PoolingName, ProbedRows]
    """The rows of every pooling."""
    features: dict[StudyName, tuple[str, ...]]
    """The label sets of every study."""

    @property
    def places(self) -> list[Place]:
        """Every location with every pooling."""
        return find_places(self.config, self.locations)

    @property
    def n_rows(self) -> dict[PoolingName, int]:
        """Number of rows of every pooling."""
        return {pooling: len(rows) for pooling, rows in self.rows.items()}

    @cached_property
    def sequences(self) -> np.ndarray:
        """(n,) int64: the sequences that have rows, increasing."""
        return np.unique(np.concatenate([rows.sequence for rows in self.rows.values()]))

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the label sets."""
        return tuple(dict.fromkeys(name for names in self.features.values() for name in names))

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Everything that decides the results, as JSON."""
        config = self.config
        return {
            "algorithm_version": ALGORITHM_VERSION,
            "experiment_type": config.experiment_type,
            **fingerprint(config.activations, config.forward_pass, self.dataset, self.model),
            "places": [[*astuple(place.location), place.pooling] for place in self.places],
            "studies": {study: list(names) for study, names in self.features.items()},
            "settings": changed_settings(config),
        }

    @cached_property
    def folder(self) -> Path:
        """Folder of the run, by the digest of everything that decides it: nothing is written outside of it."""
        digest = digest_json(self.plan)[:12]
        return online_folder(self.config.activations, self.config.experiment_name, digest)

    def summary(self) -> str:
        """Return what will be trained, in a few lines for a person."""
        rows = ", ".join(f"{n:,} rows ({pooling})" for pooling, n in self.n_rows.items())
        needed = size_in_words(bytes_of_rows(self.places, self.n_rows))
        memory = f", {needed} of rows in memory" if self.config.learner == "rows" else ""
        sets = ", ".join(self.label_sets[:5]) + (", ..." if len(self.label_sets) > 5 else "")
        studies = ", ".join(self.features)
        folder = self.folder if self.model.weight_hash else self.folder.parent  # the weights decide the digest
        return (
            f"{len(self.places)} places of {model_name(self.config.activations)}: {self.locations[0].name} to "
            f"{self.locations[-1].name}\n{len(self.sequences):,} texts, {rows}{memory}\n"
            f"{len(self.label_sets)} label sets ({sets}), by {self.config.learner}: {studies}\nin {folder}"
        )


def prepare_online(
    config: OnlineConfig,
    weights: bool = True,
    model: LanguageModel | None = None,
    dataset: FeatureDataset | None = None,
) -> PreparedOnline:
    """Load the data set and the model, and find places, rows and label sets.

    Parameters
    ----------
    config : OnlineConfig
    weights : bool
        Whether to load weights. Without them nothing can be trained.
    model, dataset : optional
        Those of the configuration, when they are in memory already.

    Raises
    ------
    DatasetError, ModelError
        When the data set, the model, a layer or a hook point does not exist, or they do not fit.
    SettingsError
        When the rows do not fit into ``--memory``, or a study has no label set.
    """
    activations = config.activations
    names = [activations.feature_dataset] if dataset is None else []
    names += config.further_datasets
    parts = [] if dataset is None else [dataset]
    parts += [load_feature_dataset(name, activations.feature_dataset_dir) for name in names]
    dataset, model = load_inputs(activations, config.forward_pass, weights, model, merge_datasets(parts))
    warn_of_near_duplicates(dataset)
    locations = tuple(find_locations(config, model))
    next_token = activations.probe_next_token_feature
    rows: dict[PoolingName, ProbedRows] = {
        pooling: probed_rows(dataset, row_aggregation(pooling), next_token) for pooling in config.pooling
    }
    features = _features_of_studies(config, dataset)
    prepared = PreparedOnline(config, dataset, tuple(parts), model, locations, rows, features)
    _check_numbers(prepared)
    needed = bytes_of_rows(prepared.places, prepared.n_rows)
    if config.learner == "rows" and needed > config.memory_bytes:
        raise SettingsError(
            f"The rows of {len(prepared.places)} places need {size_in_words(needed)}, and --memory is {config.memory}. "
            "Name fewer --layers, --further_locations or --pooling, raise --memory, or use --learner moments or adamw, "
            "which keep sums or the state of an optimizer, and no training rows."
        )
    return prepared


def _features_of_studies(config: OnlineConfig, dataset: FeatureDataset) -> dict[StudyName, tuple[str, ...]]:
    """Return the label sets of every study: the default one of each kind, and those of ``--then``."""
    info = dataset.description.features
    names = dataset.features_named(config.feature_subset, "binary") or dataset.features
    by_kind: dict[FeatureKind, list[str]] = {}
    for name in names:
        whole, of_class = dataset.feature_and_class(name)
        by_kind.setdefault(info[whole].kind if of_class is None else "binary", []).append(name)
    studies: dict[StudyName, tuple[str, ...]] = {
        DEFAULT_STUDIES[kind]: tuple(sorted(of_kind)) for kind, of_kind in by_kind.items()
    }
    for study in config.then:
        if study not in studies:
            studies[study] = features_of_study(study, config.feature_subset, dataset)
    return studies


def _check_numbers(prepared: PreparedOnline) -> None:
    """Raise SettingsError when a study would ignore a setting, or needs more neurons than the narrowest place has."""
    narrowest = min(prepared.locations, key=lambda location: location.width)
    studies = tuple(prepared.features)
    if prepared.config.learner == "rows":
        place = prepared.config.probing(narrowest.hook_point, narrowest.layer, "mean", studies)
        check_studies(place)
        check_numbers_of_neurons(place, narrowest.width)
