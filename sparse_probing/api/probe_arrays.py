"""Run a study on activations and labels in memory, without a store or a data set."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probing_datasets.feature_dataset import FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows
from probing_datasets.foundation.errors import ProbeError, SettingsError, list_known
from sparse_probing.config import ProbingConfig, StudyName
from sparse_probing.probes.inputs.validation import Floats, Integers, as_signed_labels
from sparse_probing.studies import STUDIES, check_studies
from sparse_probing.studies.base.feature_splits import split_features
from sparse_probing.studies.base.fit_variant import add_failures
from sparse_probing.studies.base.result_rows import LOGS, table_of
from sparse_probing.studies.fit_layer import fit_layer

if TYPE_CHECKING:
    import pandas as pd
    import torch

UNNAMED = {"model": "", "feature_dataset": "", "probe_location": ""}
"""Flags whose columns are empty in the rows of arrays, unless they are passed."""


def probe_arrays(
    X: ArrayLike | torch.Tensor,
    y: ArrayLike | torch.Tensor,
    groups: Iterable[Hashable] | None = None,
    *,
    study: str = "heuristic_sparsity_sweep",
    layer: int = 0,
    feature: str = "feature",
    **flags: Any,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Fit the probes of a study to a user's own activations.

    A run on a store with the same rows gives the same numbers: arrays follow the path of a task. Every row is
    its own sequence.

    Parameters
    ----------
    X : (n, d) array or tensor of floating-point numbers
        Activations. Columns that are contiguous in memory are not copied; bfloat16 is widened to float32.
    y : (n,) array or tensor
        Labels. For studies of binary features 0/1, booleans, -1/+1, or any two or more classes; for
        ``multinomial_sweep`` classes; for regression studies real numbers.
    groups : iterable of n hashable values, optional
        Rows with the same value are never divided between training and test rows. Default: every row is its own
        group.
    study : str
        A value of ``--experiment_type``.
    layer : int
        Number of the layer, from 0: a column of the rows, and a part of the seed of random choices.
    feature : str
        Name of the feature, likewise.
    **flags
        Settings of :class:`sparse_probing.config.ProbingConfig` by the names of their flags, such as
        ``max_k=64`` or ``controls=("rotation",)``. The control ``random_init`` needs a model, so it is refused.

    Returns
    -------
    rows : pandas.DataFrame
        One row per probe, with the columns of a run's rows. The feature of two classes other than 0/1, booleans
        and -1/+1 is named ``<feature>=<positive class>``, where the positive class is the second in sorted order:
        ``feature=yes`` for labels "no" and "yes". More classes become one binary feature ``<feature>=<class>``
        each, in a study of binary features; in ``multinomial_sweep`` classes that are not numbers are numbered in
        sorted order, from 0, and the column ``class_names`` names them.
    failures : dict
        Why a feature could not be probed, by feature.

    Raises
    ------
    SettingsError
        When there is no such study or flag, a value is outside its range, or the control needs a model.
    ProbeError
        When the arrays do not have one label and one group per row, or the labels do not suit the study.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 16), dtype=np.float32)
    >>> rows, failures = probe_arrays(X, np.where(X[:, 3] > 0, "yes", "no"), max_k=2, controls=())
    >>> rows.loc[rows["k"] == 1, ["feature", "support", "test_f1_score"]].values.tolist()
    [['feature=yes', array([3], dtype=int32), 1.0]]
    """
    if study not in STUDIES:
        raise SettingsError(f"There is no study {study!r}. Studies: {list_known(study, STUDIES)}.")
    name = cast(StudyName, study)
    config = ProbingConfig.from_flags(experiment_type=(name,), **UNNAMED | flags)
    check_studies(config)
    if of_stores := [flag for flag in ("feature_subset", "layers", "random_init") if flags.get(flag)]:
        raise SettingsError(f"{', '.join(of_stores)} choose among what a store has. Leave them out with arrays.")
    if "random_init" in config.statistics.controls:
        raise SettingsError("The control random_init needs a model and its store. Remove it from controls.")
    activations, labels = _activations(X), np.asarray(_on_cpu(y))
    if labels.shape != (len(activations),):
        raise ProbeError(f"There are {len(activations)} rows and labels of shape {labels.shape}. Pass one per row.")
    each = np.arange(len(activations))
    group = each if groups is None else _group_codes(groups, len(activations))
    kind_of_labels = STUDIES[name].kind
    if STUDIES[name].takes_classes and len(set(labels.tolist())) > 2:
        kind_of_labels = "multiclass"
    features: dict[str, tuple[FeatureKind, FeatureRows]] = {
        feature_name: (kind, FeatureRows(each, numbers, each, group, _class_names(labels, kind)))
        for feature_name, (kind, numbers) in _features(feature, labels, kind_of_labels).items()
    }
    splits, failures = split_features(
        features, STUDIES[name].kind, config.split, config.activations.seed, STUDIES[name].takes_classes
    )
    rows, failed = fit_layer(config, name, splits, layer, activations)
    add_failures(failures, failed)
    if "activation_aggregation" not in flags:
        rows = [{**row, "aggregation": ""} for row in rows]
    return table_of(rows).drop_columns(list(LOGS)).to_pandas(), failures


def _on_cpu(values: Any) -> Any:
    """Return a tensor on the CPU without its gradient, and bfloat16 as float32; other values unchanged."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def _activations(X: Any) -> NDArray:
    """Return activations (n, d) with contiguous columns, as they are read from a store."""
    activations = np.asarray(_on_cpu(X))
    if activations.ndim != 2 or 0 in activations.shape:
        raise ProbeError(f"Activations must be a non-empty matrix (rows, neurons); got shape {activations.shape}.")
    if activations.dtype not in (np.float16, np.float32, np.float64):
        raise ProbeError(
            f"Activations must be float16, float32 or float64 numbers; got {activations.dtype}. Convert them first."
        )
    return np.asfortranarray(activations)


def _group_codes(groups: Iterable[Hashable], n_rows: int) -> Integers:
    """Return a number for each group, in the order in which groups appear."""
    values: Iterable[Hashable] = getattr(groups, "tolist", lambda: groups)()  # elements of a tensor are all different
    codes: dict[Hashable, int] = {}
    numbers = [codes.setdefault(group, len(codes)) for group in values]
    if len(numbers) != n_rows:
        raise ProbeError(f"There are {n_rows} rows and {len(numbers)} groups. Pass one group per row.")
    return np.array(numbers, np.int64)


def _class_names(labels: NDArray, kind: FeatureKind) -> tuple[str, ...]:
    """Return the names of the classes of a multiclass feature whose labels are not numbers."""
    return () if kind != "multiclass" or labels.dtype.kind in "biuf" else tuple(map(str, np.unique(labels)))


def _features(feature: str, labels: NDArray, kind: FeatureKind) -> dict[str, tuple[FeatureKind, Floats]]:
    """Return kind and labels as numbers of each feature that a study of ``kind`` fits to these labels."""
    is_number = labels.dtype.kind in "biuf"
    if is_number and not np.isfinite(labels).all():
        raise ProbeError("Labels must not be NaN or infinite. Remove the rows without a label.")
    if kind == "regression":
        if not is_number:
            raise ProbeError("The labels of a regression study must be real numbers. Choose a study of classes.")
        return {feature: ("regression", labels.astype(np.float64))}
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ProbeError("The classes cannot be sorted. Use values of one type, for example all strings.") from error
    if is_number and len(classes) > 2 and (classes != np.round(classes)).any():
        raise ProbeError(f"The labels have {len(classes)} values that are not classes. Choose a regression study.")
    if kind == "multiclass":
        return {feature: ("multiclass", labels.astype(np.float64) if is_number else codes.astype(np.float64))}
    if len(classes) > 2:
        names = [int(c) if is_number else c for c in classes]
        return {f"{feature}={c}": ("binary", np.where(codes == i, 1.0, -1.0)) for i, c in enumerate(names)}
    if len(classes) == 1:  # a failure of the split, which names the missing class
        return {feature: ("binary", np.where(labels > 0, 1.0, -1.0) if is_number else np.ones(len(labels)))}
    signed, positive, negative = as_signed_labels(labels)
    plain = is_number and positive == 1 and negative in (-1, 0)
    return {feature if plain else f"{feature}={positive}": ("binary", signed)}
