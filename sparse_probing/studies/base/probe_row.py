"""The row of a fitted probe in a table of results."""

from __future__ import annotations

from typing import Any

from sparse_probing.config import ActivationsConfig, ProbingConfig, StudyName
from sparse_probing.config.result_folders import dataset_name
from sparse_probing.studies.base.feature_data import FeatureData
from sparse_probing.studies.base.result_rows import FittedProbe


def columns_of_run(experiment_name: str, activations: ActivationsConfig) -> dict[str, Any]:
    """Return the columns that all rows of a run share: its name, the model, the data set and the seed."""
    return {
        "experiment_name": experiment_name,
        "model": activations.model,
        "revision": activations.revision or "",
        "random_init": activations.random_init,
        "dataset": dataset_name(activations) if activations.feature_dataset else "",  # rows of arrays have none
        "seed": activations.seed,
    }


def probe_row(
    config: ProbingConfig, study: StudyName, layer: int, data: FeatureData, probe: FittedProbe
) -> dict[str, Any]:
    """Return the columns of a probe: what was probed, how, and what the fit reports.

    Parameters
    ----------
    config : ProbingConfig
    study : str
        Name of the study.
    layer : int
        Number of the layer.
    data : FeatureData
        What the probe was fitted to.
    probe : FittedProbe
        Its own columns replace those of the configuration, such as its regularization.
    """
    variant, train, test = data.variant, data.train.label, data.test.label
    row = {
        **columns_of_run(config.experiment_name, config.activations),
        "study": study,
        "random_init": config.activations.random_init or variant.random_init,
        "feature": data.feature,
        "layer": layer,
        "hook_point": config.activations.probe_location,
        "aggregation": config.activations.activation_aggregation,
        "control": variant.control or "",
        "basis": variant.basis,
        "trial": variant.trial,
        "fold": data.fold,
        "scaling": data.scaling,
        "regularization": config.fit.C,
        "n_train": len(train),
        "n_test": len(test),
        "n_positive_train": int((train > 0).sum()) if data.kind == "binary" else None,
        "n_positive_test": int((test > 0).sum()) if data.kind == "binary" else None,
        **probe.as_row(),
    }
    if data.classes and "classes" in row:
        row["class_names"] = [data.classes[int(number)] for number in row["classes"]]
    if variant.ranking:  # the control's ranking replaced that of the study
        row["ranking"] = variant.ranking
    return row
