"""Fit the studies of stage 2 to the rows of a place: with the rows of a store they give the same numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.config.online import PoolingName
from sparse_probing.online.places import Place, row_aggregation
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_splits import FeatureSplit, labelled_features, split_features
from sparse_probing.studies.base.fit_variant import add_failures
from sparse_probing.studies.fit_layer import fit_layer

ALL_NEURONS: tuple[StudyName, ...] = ("multinomial_sweep",)
"""Sweeps that fit all neurons together, unless ``--ks`` names numbers of neurons or ``--then`` names the sweep."""


class RowFits:
    """The studies of a run, whose splits do not depend on the layer."""

    def __init__(self, prepared: PreparedOnline) -> None:
        self._prepared = prepared
        self.splits: dict[tuple[StudyName, PoolingName], list[FeatureSplit]] = {}
        """The training and test rows of every label set, by study and pooling."""
        self.failures: dict[str, str] = {}
        """Why label sets cannot be split, at any place."""
        config, location = prepared.config, prepared.locations[0]
        self._settings = {
            study: config.probing(location.hook_point, location.layer, config.pooling[0], (study,))
            for study in prepared.features
        }
        for study, names in prepared.features.items():
            for pooling, rows in prepared.rows.items():
                features, failures = labelled_features(
                    prepared.dataset, names, rows, row_aggregation(pooling), config.activations.probe_next_token_feature
                )
                kind, takes_classes = STUDIES[study].kind, STUDIES[study].takes_classes
                self.splits[study, pooling], unsplit = split_features(
                    features, kind, config.split, config.activations.seed, takes_classes
                )
                self.failures = failures | unsplit | self.failures

    def settings(self, place: Place, study: StudyName) -> ProbingConfig:
        """Return the settings of stage 2 for a study at a place."""
        config, location = self._prepared.config, place.location
        probing = self._settings[study]
        at_place = {"probe_location": location.hook_point, "activation_aggregation": place.pooling}
        search = probing.search
        if study in ALL_NEURONS and study not in config.then and not config.search.ks:
            search = replace(search, ks=(location.width,))
        activations = replace(probing.activations, **at_place)
        return replace(probing, layers=(location.layer,), activations=activations, search=search)

    def fit(self, place: Place, layer: NDArray) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the result rows of all studies at a place, and why label sets could not be probed there.

        Parameters
        ----------
        place : Place
        layer : (n, width) array
            Its rows, with contiguous columns.
        """
        rows: list[dict[str, Any]] = []
        failures: dict[str, str] = {}
        for study in self._prepared.features:
            splits = self.splits[study, place.pooling]
            fitted, failed = fit_layer(self.settings(place, study), study, splits, place.location.layer, layer)
            rows += fitted
            add_failures(failures, failed)
        return rows, failures
