"""From a row of a run to a probe that can be applied to texts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probing_datasets.building.tokenization import load_tokenizer
from probing_datasets.feature_dataset import Aggregation, FeatureDataset, FeatureKind, load_feature_dataset
from probing_datasets.feature_dataset.spans import POOLED
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.activations.stores import open_store
from sparse_probing.config import ProbingConfig
from sparse_probing.saved_probes.probe_metadata import ChatPrompt, Link, ProbeOrigin
from sparse_probing.saved_probes.saved_probe import SavedProbe

LINKS: dict[str, Link] = {
    "logistic": "sigmoid",
    "single_neuron_logistic": "sigmoid",
    "elastic_net_logistic": "sigmoid",
    "l1_logistic": "sigmoid",
    "optimal_logistic": "sigmoid",
    "one_vs_rest": "sigmoid",
    "multinomial": "softmax",
}
"""From scores to probabilities, by kind of probe; the scores of other kinds are not log odds."""

GAPS = ("duality_gap", "optimality_gap", "newton_decrement")
"""Columns with the relative distance from the optimum: bounds first, then the estimate."""


def probe_from_row(
    config: ProbingConfig,
    row: Mapping[str, Any],
    controls: Iterable[Mapping[str, Any]] = (),
    versions: Mapping[str, str | None] | None = None,
    dataset: FeatureDataset | None = None,
    fingerprint: Mapping[str, Any] | None = None,
) -> SavedProbe:
    """Return the probe of a row of a run.

    Parameters
    ----------
    config : ProbingConfig
        Settings of the run.
    row : mapping
        A row of its results.
    controls : iterable of mapping
        Rows of the same probe with a control, whose metrics are kept beside those of the probe.
    versions : mapping, optional
        Packages that the run was made with, and the commit.
    dataset : FeatureDataset, optional
        The data set of the run, when it is in memory already.
    fingerprint : mapping, optional
        What decided the activations. Default: that of the store of the run.

    Raises
    ------
    ProbeError
        When the row is one of a control, its coefficients are not those of neurons, or the data set aggregates tokens
        that cannot be found in a new text.
    """
    _check_applies_to_texts(row)
    activations = config.activations
    if dataset is None:
        dataset = load_feature_dataset(activations.feature_dataset, activations.feature_dataset_dir)
    chat, options = _chat_prompt(dataset), dataset.description.options
    has_span = f"{POOLED}_start" in dataset.sequences.column_names
    if has_span and chat is None:
        _check_tokens_can_be_found(dataset, activations.activation_aggregation)
    if fingerprint is None:
        fingerprint = open_store(config.store_folder()).plan.fingerprint
    (tokens,) = dataset.tokens(np.array([0]))  # every sequence has the same special tokens around it
    n_prefix, n_suffix = dataset.description.n_prefix, dataset.description.n_suffix
    intercepts = row["class_intercepts"] if _is_known(row["class_intercepts"]) else [row["intercept"]]
    support = np.asarray(row["support"], dtype=np.int64)
    classes, kind, counts = _classes(dataset, row)
    link, temperature, prior = _probabilities(row, kind, counts, len(intercepts))
    queries = None
    if row["aggregation"] == "attention":
        queries = np.asarray(row["query"], np.float64).reshape(-1, len(support))
    return SavedProbe(
        feature=row["feature"],
        kind=kind,
        classes=classes,
        model=activations.model,
        revision=activations.revision,
        random_init=fingerprint["random_init"],
        weight_hash=fingerprint["weight_hash"],
        tokenizer_hash=fingerprint["tokenizer_hash"],
        dtype=fingerprint["dtype"],
        layer=int(row["layer"]),
        hook_point=activations.probe_location,
        aggregation=row["aggregation"],
        prefix=tuple(tokens[:n_prefix].tolist()),
        suffix=tuple(tokens[len(tokens) - n_suffix :].tolist()),
        context_length=dataset.description.context_length,
        # Collections that probe the last token of a text cut its beginning (`building.text_endings`).
        kept="end" if has_span or options.get("probed_tokens") == "last" else "beginning",
        support=support,
        coef=np.asarray(row["coef"], dtype=np.float64).reshape(-1, len(support)),
        intercept=np.asarray(intercepts, dtype=np.float64),
        mean=np.zeros(len(support)),
        scale=np.ones(len(support)),
        link=link,
        prior=prior,
        temperature=temperature,
        queries=queries,
        threshold=0.0,
        threshold_origin="0: both errors weigh the same for balanced classes" if kind == "binary" else "",
        provenance=_origin(dataset, row, counts, controls, versions or {}, config.split.test_folds),
        chat=chat,
    )


def _check_applies_to_texts(row: Mapping[str, Any]) -> None:
    """Raise ProbeError for the row of a control, and for one whose coefficients are not those of neurons."""
    if row["control"]:
        raise ProbeError(f"This row is the control {row['control']!r}, which says nothing about texts: choose another.")
    if row["basis"] != "neurons":
        raise ProbeError(
            f"The probe reads random directions ({row['basis']}), not neurons of the model, so it cannot be applied. "
            "Choose a probe with the basis neurons."
        )


def _check_tokens_can_be_found(dataset: FeatureDataset, aggregation: Aggregation) -> None:
    """Raise ProbeError when a probe reads the aggregate of a part of each text, which new texts do not mark."""
    if aggregation != "none":
        raise ProbeError(
            f"The data set {dataset.description.name} aggregates a part of each text, such as a name, and a new text "
            "does not say where that part is. Save a probe of a run with --activation_aggregation none."
        )


def _classes(dataset: FeatureDataset, row: Mapping[str, Any]) -> tuple[tuple[str, ...], FeatureKind, dict[str, int]]:
    """Return the names of the outputs, the kind of the probe, and the rows of each class."""
    if _is_known(row["class_intercepts"]):
        numbers = [str(int(number)) for number in row["classes"]]
        info = dataset.description.features[row["feature"]]
        names = tuple(map(str, row["class_names"])) if _is_known(row["class_names"]) else tuple(numbers)
        # Splits keep the frequencies of classes.
        trained = row.get("n_train_of_classes")
        counts = [info.counts[n] for n in numbers] if trained is None else [int(count) for count in trained]
        return names, "multiclass", dict(zip(names, counts, strict=True))
    if _is_known(row["n_positive_train"]):
        n_positive = int(row["n_positive_train"])
        return (), "binary", {"1": n_positive, "-1": int(row["n_train"]) - n_positive}
    return (), "regression", {}


def _probabilities(
    row: Mapping[str, Any], kind: FeatureKind, counts: Mapping[str, int], n_outputs: int
) -> tuple[Link, float, np.ndarray]:
    """Return link, temperature and prior (n_outputs,), which make probabilities of the scores of a row."""
    link: Link = LINKS.get(row["probe"], "none")
    prior = balanced_prior(link, kind, counts)
    if not _is_known(row.get("temperature")):
        return link, 1.0, prior
    # For the softmax of several classes. Of a balanced fit it is fitted beside the prior; otherwise to log odds at the
    # frequencies of the classes.
    is_balanced = row.get("class_weight") == "balanced"
    link = "sigmoid" if kind == "binary" else "softmax"
    return link, float(row["temperature"]), (balanced_prior(link, kind, counts) if is_balanced else np.zeros(n_outputs))


def balanced_prior(link: Link, kind: FeatureKind, counts: Mapping[str, int]) -> np.ndarray:
    """Return what corrects the probabilities of a fit with balanced class weights, as its calibration is measured.

    Parameters
    ----------
    link : {'sigmoid', 'softmax', 'none'}
    kind : {'binary', 'multiclass', 'regression'}
    counts : mapping of str to int
        Training rows of each class; of a binary probe the positive class first.

    Returns
    -------
    (outputs,) float64
        Log odds (sigmoid) or logarithms (softmax) of the frequencies; zeros where scores have no probabilities.
    """
    if link == "none":
        return np.zeros(len(counts) if kind == "multiclass" else 1)
    frequency = np.array([*counts.values()], np.float64) / sum(counts.values())
    if link == "softmax":
        return np.log(frequency)
    odds = np.log(frequency) - np.log1p(-frequency)
    return odds[:1] if kind == "binary" else odds


def _origin(
    dataset: FeatureDataset,
    row: Mapping[str, Any],
    counts: Mapping[str, int],
    controls: Iterable[Mapping[str, Any]],
    versions: Mapping[str, str | None],
    n_test_folds: int,
) -> ProbeOrigin:
    gap = next((float(row[name]) for name in GAPS if _is_known(row[name])), None)
    return ProbeOrigin(
        dataset=dataset.description.name,
        dataset_hash=dataset.description.content_hash,
        study=row["study"],
        probe=row["probe"],
        status=row["status"],
        seed=int(row["seed"]),
        n_train=int(row["n_train"]),
        n_test=int(row["n_test"]),
        n_validation=int(row["n_validation"]) if _is_known(row["n_validation"]) else 0,
        test_fold=int(row["fold"]) if n_test_folds else None,
        n_test_folds=n_test_folds,
        converged=bool(row["converged"]) if _is_known(row["converged"]) else None,
        gap=gap,
        regularization=float(row["regularization"]) if _is_known(row["regularization"]) else None,
        ranking=row["ranking"],
        class_counts=counts,
        metrics=_metrics(row) | {f"{c['control']}/{name}": v for c in controls for name, v in _metrics(c).items()},
        source=_without_folders(str(dataset.description.source.get("name", ""))),
        licence=str(dataset.description.source.get("licence", "")),
        versions=versions,
    )


def _without_folders(sources: str) -> str:
    """Return names of sources, of local files only the last part: a probe may be published."""
    return ", ".join(Path(s).name if s[:1] in "/.~" or Path(s).exists() else s for s in sources.split(", "))


def _metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite metrics of a row, and the ends of their intervals."""
    return {
        name: float(value)
        for name, value in row.items()
        if name.startswith(("train_", "test_", "validation_", "p_value"))
        and isinstance(value, float)
        and math.isfinite(value)
    }


def _chat_prompt(dataset: FeatureDataset) -> ChatPrompt | None:
    """Return how a data set of chats made its prompts; None for other data sets."""
    options = dataset.description.options
    if "completion" not in options:
        return None
    template = ""
    if not options["template"]:
        tokenizer = load_tokenizer(dataset.description.tokenizer, options.get("revision"))
        template = tokenizer.chat_template or ""
    digest = hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) and template else ""
    return ChatPrompt(options["template"], options["completion"], digest, options.get("probed_tokens", "last"))


def _is_known(value: Any) -> bool:
    """Whether a cell of a table is neither None nor NaN."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))
