"""Keep a trained pooling as a saved probe, whose pooling over the tokens of a text is that of the training."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.monitoring.trained_pooling import TrainedPooling
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import ProbeMetadata
from sparse_probing.saved_probes.saved_probe import SavedProbe


def save_pooling(pooling: TrainedPooling, like: ProbeData, folder: Path | str, overwrite: bool = False) -> Path:
    """Write a trained pooling as a saved probe, which :func:`sparse_probing.load_probe` reads.

    Parameters
    ----------
    pooling : TrainedPooling
    like : ProbeData
        A probe of the same feature, model, hook point and data set, such as ``result.saved_probe(...)`` of a run on the
        store that the pooling was trained on: it says how texts become activations.
    folder : path
    overwrite : bool
        Replace a probe that is there.

    Raises
    ------
    ProbeError
        When the probe reads neurons that the pooling does not have, or the folder cannot be written.
    """
    width = pooling.values.shape[1]
    if like.support.max() >= width:
        raise ProbeError(
            f"The pooling was trained on {width} neurons, and the probe of {like.feature!r} reads neuron "
            f"{like.support.max()}. Pass a probe of the hook point that the pooling was trained on."
        )
    origin = replace(
        like.provenance,
        study="fit_pooling",
        probe=pooling.kind,
        status=f"Epoch {pooling.best_epoch} of {pooling.n_epochs}, chosen on validation groups, without a bound.",
        n_train=pooling.n_train,
        n_test=0,
        n_validation=0,
        test_fold=None,
        n_test_folds=0,
        converged=None,
        gap=None,
        regularization=None,
        ranking="",
        class_counts={},
        metrics={"validation_log_loss": pooling.validation_loss},
    )
    metadata = {field.name: getattr(like, field.name) for field in fields(ProbeMetadata)}
    changed = {
        "kind": "binary",
        "classes": (),
        "aggregation": pooling.kind,
        # The frequencies of the classes, which make probabilities of log odds of balanced classes, are not known.
        "link": "none",
        "threshold": 0.0,
        "threshold_origin": "0: both errors weigh the same for balanced classes",
        "provenance": origin,
    }
    probe = SavedProbe(
        **metadata | changed,
        support=np.arange(width),
        coef=np.asarray(pooling.values, np.float64),
        intercept=np.array([pooling.intercept], np.float64),
        mean=np.asarray(pooling.mean, np.float64),
        scale=np.asarray(pooling.scale, np.float64),
        prior=np.zeros(1),
        temperature=1.0,
        queries=np.asarray(pooling.queries, np.float64) if pooling.kind == "attention" else None,
    )
    return probe.save(folder, overwrite)
