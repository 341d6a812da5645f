"""Fit sparse probes to a store of activations, or to arrays: what stage 2 does, as one call."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import ArrayLike

from probing_datasets.feature_dataset import FeatureDataset
from probing_datasets.foundation.errors import DatasetError, ProbeError, SettingsError
from sparse_probing.activations.stores import ActivationStore, open_store
from sparse_probing.api.result import Result
from sparse_probing.config import ProbingConfig, StudyName

if TYPE_CHECKING:
    import torch

DEFAULT_STUDY: StudyName = "heuristic_sparsity_sweep"


@overload
def probe(
    activations: ActivationStore | Path | str, labels: FeatureDataset | str, study: str = DEFAULT_STUDY, **settings: Any
) -> Result: ...


@overload
def probe(
    activations: ArrayLike | torch.Tensor,
    labels: ArrayLike | torch.Tensor,
    study: str = DEFAULT_STUDY,
    *,
    groups: Iterable[Hashable] | None = None,
    **settings: Any,
) -> Result: ...


def probe(
    activations: Any,
    labels: Any,
    study: str = DEFAULT_STUDY,
    *,
    groups: Iterable[Hashable] | None = None,
    **settings: Any,
) -> Result:
    """Fit the probes of a study, and score them on groups of rows that are held out.

    Parameters
    ----------
    activations : ActivationStore, path, or (n, d) array or tensor
        A store that `harvest` returned, its folder or URL, or your own activations: a row per example, a column
        per neuron.
    labels : FeatureDataset, str, or (n,) array
        The data set of the store or its name; or a label for each row: 0/1, booleans, -1/+1 or two strings,
        several classes (studies of multiclass features) or real numbers (studies of regression features).
    study : str
        An experiment type of ``probing_experiment.py``, such as ``all_neurons`` or ``l1_path``.
    groups : iterable of n hashable values, optional
        With arrays: rows of one group are never split between training and test rows. Default: every row is a
        group.
    **settings
        Flags of ``probing_experiment.py`` by name, such as ``max_k=64``, ``layers=(2,)`` or ``controls=()``, with its
        defaults: the layer is divided by its root mean square (``scaling="rms"``), C is chosen on validation folds in
        studies that choose it (``regularization=1`` fixes it), and neurons are ranked by ``mean_dif`` in studies
        with a name of the paper's code and by ``auc`` in the others.
        Tasks run in this process unless ``cluster`` says otherwise.

    Returns
    -------
    Result
        Rows of all probes, the best neurons, figures. Probes of a store are kept in a folder, and the same call
        reads them again; those of arrays are only in memory.

    Raises
    ------
    SettingsError
        When there is no such study or setting (the message lists similar names), or ``groups`` come with a store.
    StoreError, DatasetError
        When the store is incomplete, or belongs to another data set.
    ProbeError, SplitError
        When arrays do not fit together, or whole groups cannot be split.
    TaskError
        When a feature or a task failed; finished results are kept.

    Examples
    --------
    >>> import numpy as np
    >>> import sparse_probing as sp
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> X = rng.standard_normal((200, 30)).astype("float32")
    >>> X[:, 7] += 3 * y
    >>> result = sp.probe(X, y, "enumerate_monosemantic", n_neurons=3)
    >>> int(result.best_neurons()["neuron"][0])
    7
    """
    if settings.get("dry_run"):
        raise SettingsError("dry_run is a flag of the command probing_experiment.py. Leave it out.")
    if isinstance(activations, str | Path):
        activations = open_store(str(activations))
    if isinstance(activations, ActivationStore):
        if groups is not None:
            raise SettingsError("The groups of a store are those of its data set. Leave out `groups`.")
        return _probe_store(activations, labels, study, settings)
    from sparse_probing.api.probe_arrays import probe_arrays  # here: it imports all studies

    rows, failures = probe_arrays(activations, labels, groups, study=study, **settings)
    if rows.empty:
        raise ProbeError("; ".join(f"{feature}: {reason}" for feature, reason in failures.items()))
    return Result(rows, failures=failures)


def _probe_store(store: ActivationStore, dataset: FeatureDataset | str, study: str, settings: dict[str, Any]) -> Result:
    """Run a study on a store and wait for it."""
    from sparse_probing.runs.launch import run_probing  # here: it imports all studies

    config = settings_of_store(store, dataset, experiment_type=(study,), **({"cluster": "debug"} | settings))
    return Result.of_run(run_probing(config))


def settings_of_store(store: ActivationStore, dataset: FeatureDataset | str, **settings: Any) -> ProbingConfig:
    """Return the settings of stage 2 that read a store; what the store records decides, and ``settings`` the rest.

    Raises
    ------
    SettingsError
        When the folder of the store is not called as its settings say, so that stage 2 would not find it.
    """
    origin = store.plan.fingerprint
    if "all_activations" in origin:
        raise SettingsError(f"{store.path} holds every token, not the rows of features. Harvest with sp.harvest first.")
    if not isinstance(dataset, str) and dataset.description.content_hash != origin["dataset_hash"]:
        raise DatasetError(
            f"The store {store.path} was made from another version of {dataset.name}. Pass the data set that was "
            "harvested, or harvest this one."
        )
    root = store.path.parents[2]
    recorded = {
        "model": origin["model"],
        "revision": origin["revision"],
        "random_init": origin["random_init"] is not None,
        "feature_dataset": dataset if isinstance(dataset, str) else dataset.name,
        "probe_location": store.plan.hook_points[0],
        "activation_aggregation": origin["activation_aggregation"],
        "probe_next_token_feature": bool(origin.get("next_token", False)),
        "activations_dir": str(root.absolute() if isinstance(root, Path) else root),
    }
    if origin["random_init"] is not None:
        recorded["seed"] = origin["random_init"]
    config = ProbingConfig.from_flags(**(recorded | settings))
    if str(config.store_folder()) != str(store.path.absolute() if isinstance(store.path, Path) else store.path):
        raise SettingsError(
            f"A store of these activations is called {config.store_folder()}, and this one is {store.path}. "
            "Move it there, or name its folder as `harvest` does."
        )
    return config
