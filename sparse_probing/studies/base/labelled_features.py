"""The labels of features at the rows of a layer: of whole features, and of single classes of one."""

from __future__ import annotations

from collections.abc import Iterable

from probing_datasets.feature_dataset import Aggregation, FeatureDataset, FeatureKind
from probing_datasets.feature_dataset.probed_rows import FeatureRows, ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError
from sparse_probing.studies.base.feature_splits import one_vs_rest


def labelled_features(
    dataset: FeatureDataset,
    names: Iterable[str],
    rows: ProbedRows,
    aggregation: Aggregation,
    next_token: bool,
) -> tuple[dict[str, tuple[FeatureKind, FeatureRows]], dict[str, str]]:
    """Return kind and rows of features, and why others have none.

    Parameters
    ----------
    dataset : FeatureDataset
    names : iterable of str
        Features, or classes as ``<feature>=<class>``.
    rows : ProbedRows
        The rows of the layer.
    aggregation, next_token
        As in :func:`probing_datasets.feature_dataset.probed_rows.probed_rows`.
    """
    features: dict[str, tuple[FeatureKind, FeatureRows]] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            whole, of_class = dataset.feature_and_class(name)
            labelled = feature_rows(dataset, whole, rows, aggregation, next_token)
            kind = dataset.description.features[whole].kind
            features[name] = (kind, labelled) if of_class is None else ("binary", one_vs_rest(whole, labelled)[name])
        except DatasetError as error:
            failures[name] = str(error)
    return features, failures
