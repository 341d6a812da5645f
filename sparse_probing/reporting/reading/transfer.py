"""Score the probes of a run on other data sets: what is learned on one collection of texts, tested on another."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from probing_datasets.feature_dataset.text_hashes import text_hashes
from probing_datasets.foundation.errors import ProbeError
from sparse_probing.config import ProbingConfig
from sparse_probing.config.result_folders import dataset_name
from sparse_probing.probes.inference.roc_auc_inference import roc_inference
from sparse_probing.probes.inputs.validation import Integers
from sparse_probing.probes.metrics.temperature import confidences
from sparse_probing.reporting.reading.chosen_layers import ReadFeature
from sparse_probing.runs.planning.other_datasets import open_other_datasets
from sparse_probing.runs.planning.run_inputs import Inputs, open_inputs
from sparse_probing.runs.planning.run_record import Run


@dataclass(frozen=True)
class TestSet:
    """The rows of one feature of another data set."""

    dataset: str
    feature: str
    rows: FeatureRows
    codes: Integers
    """(m,) class of every row, as its place in ``classes``."""
    classes: tuple[str, ...]
    """Names of the classes; of a binary feature no and its name."""
    n_shared: int
    """Rows that are left out, because their text is in the data set of the run too."""


def transfer(run: Run, features: list[ReadFeature]) -> pd.DataFrame:
    """Return the scores of the probes of every layer on the data sets of ``--test_feature_dataset``.

    Classes with the same name in both are compared: accuracy on their rows, among all classes of the probe, and the
    area under the ROC curve of each one's score. Where the other feature has two classes, the score of every class of
    the probe, and with ``--class_order`` the expected place from its last class (low) to its first (high), are compared
    with the second of the two; the direction is fixed before, so an area below 1/2 stays below. Rows whose text is in
    the data set of the run too are left out: probes may have been trained on them.

    Parameters
    ----------
    run : Run
    features : list of ReadFeature
        Probes of the first test fold are scored.

    Returns
    -------
    pandas.DataFrame
        One line for each pair of feature and data set, layer and score.

    Raises
    ------
    StoreError, DatasetError
        As `sparse_probing.runs.planning.other_datasets.open_other_datasets`.
    ProbeError
        When a data set is that of the run, or has no feature that the probes can be compared with.
    """
    own = open_inputs(run.config.with_flags(controls=()))
    own_texts = set(text_hashes(own.dataset))
    lines: list[dict[str, object]] = []
    layers = sorted({int(layer) for each in features for layer in each.probes["layer"]})
    for name, inputs in open_other_datasets(run.config, own, layers).items():
        config = run.config.with_flags(feature_dataset=name, controls=())
        n_before = len(lines)
        tests = list(_test_sets(config, inputs, own_texts))
        for layer in layers:
            activations = inputs.store.read(layer, dtype=None)
            for feature in features:
                for test in tests:
                    lines += _scored(run.config, feature, layer, activations, test)
        if len(lines) == n_before:
            raise ProbeError(
                f"No feature of {name} has a class of a probe, or two classes, in texts that the data set of the run "
                "does not have. Choose another --test_feature_dataset."
            )
    return pd.DataFrame(lines)


def _test_sets(config: ProbingConfig, inputs: Inputs, own_texts: Set[bytes]) -> Iterator[TestSet]:
    stored = ProbedRows(*inputs.store.rows)
    is_shared = np.array([text in own_texts for text in text_hashes(inputs.dataset)])
    for feature, info in inputs.dataset.description.features.items():
        if info.kind == "regression":
            continue
        rows = feature_rows(inputs.dataset, feature, stored, config.activations.activation_aggregation)
        numbers, codes = np.unique(rows.label, return_inverse=True)
        if info.kind == "binary":
            names = (f"not {feature}", feature)
        else:
            names = tuple(rows.classes[int(n)] if rows.classes else f"{n:g}" for n in numbers)
        new = ~is_shared[rows.sequence]
        columns = {name: getattr(rows, name)[new] for name in ("row", "label", "sequence", "group")}
        n_shared = int((~new).sum())
        if new.any():
            yield TestSet(
                dataset_name(config.activations), feature, replace(rows, **columns), codes[new], names, n_shared
            )


def _scored(
    config: ProbingConfig, feature: ReadFeature, layer: int, activations: NDArray, test: TestSet
) -> Iterator[dict[str, object]]:
    """Yield the lines of one feature and layer on one test set."""
    of_layer = feature.probes[feature.probes["layer"] == layer].sort_values("fold")
    if of_layer.empty:
        return
    row = of_layer.iloc[0]
    intercept = np.ravel(row["intercept"] if row["class_intercepts"] is None else row["class_intercepts"])
    coef = np.reshape(row["coef"], (len(intercept), -1))
    scores = activations[test.rows.row].astype(np.float64) @ coef.T + intercept
    names = [feature.feature] if len(intercept) == 1 else feature.class_names
    codes = test.codes
    line = {
        "train_dataset": dataset_name(config.activations),
        "feature": feature.feature,
        "layer": layer,
        "is_chosen": layer == feature.layer,
        "test_dataset": test.dataset,
        "test_feature": test.feature,
        "n_shared": test.n_shared,
    }

    def area(score: NDArray, score_name: str, label: str) -> dict[str, object]:
        y = np.where(codes == test.classes.index(label), 1.0, -1.0)
        result = roc_inference(y, score[:, None], test.rows.group, config.statistics.confidence)
        ends = {"roc_auc": result.roc_auc[0], "roc_auc_low": result.low[0], "roc_auc_high": result.high[0]}
        return {**line, "score": score_name, "label": label, "n": len(y), "accuracy": np.nan, **ends}

    with_rows = [name for k, name in enumerate(test.classes) if (codes == k).any()]
    if len(with_rows) < 2:
        return
    shared = [name for name in names if name in with_rows]
    if len(shared) > 1 or (len(intercept) == 1 and shared):
        predicted, _ = confidences(scores, float(row["temperature"]))
        if len(intercept) == 1:
            right = predicted == (codes == test.classes.index(shared[0]))
        else:
            known = np.isin(np.array(test.classes)[codes], shared)
            right = (np.array(names)[predicted] == np.array(test.classes)[codes])[known]
        accuracy = {"accuracy": float(right.mean()), "roc_auc": np.nan, "roc_auc_low": np.nan, "roc_auc_high": np.nan}
        yield {**line, "score": "all classes", "label": "own class", "n": len(right), **accuracy}
    for name in shared:
        yield area(scores[:, names.index(name)], name, name)
    if not set(names) & set(test.classes) and len(test.classes) == 2:
        order = config.reading.class_order
        if order and len(intercept) > 1:
            shares = np.exp(scores / row["temperature"] - (scores / row["temperature"]).max(axis=1, keepdims=True))
            place = np.array([len(order) - 1 - order.index(name) for name in names])
            yield area(shares @ place / shares.sum(axis=1), "class order", test.classes[1])
        for i, name in enumerate(names):
            yield area(scores[:, i], name, test.classes[1])
