"""Rankings of all neurons of a layer for many features together, against one feature after the other.

The features have different training rows. Ours is :func:`rank_layer`, its checks included; peers are
scikit-learn, or NumPy where it has no such function, on a float32 copy of the feature's rows, timed on
a few features (and neurons, where they are ranked one by one) and scaled up. A *read* converts the float16
layer to float32 block by block and discards it; the *copy* is the whole float32 layer, which peers need.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
import tyro
from sklearn.feature_selection import f_classif, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from benchmarks._report import Seconds, alternate, median_ratio, median_seconds, print_table, seconds
from benchmarks._synthetic import planted_layer
from sparse_probing.probes.inputs.validation import LabelledRows
from sparse_probing.probes.rankings import RANKINGS, linear_models, rank_layer

TRAINING_FRACTION = 0.7

Peer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From float32 rows of a feature and their labels to scores."""


@dataclass(frozen=True)
class RankingsConfig:
    """Sizes of the comparison."""

    n_train: int = 10_000
    """Training rows of a feature."""
    width: int = 2048
    n_features: int = 20
    rankings: tuple[str, ...] = tuple(RANKINGS)
    peer_neurons: int = 16
    """Neurons that are scored by peers that rank neurons one by one."""
    repeats: int = 3
    threads: int = 1
    """Threads of BLAS, OpenMP and PyTorch, the same for all contenders."""
    one_feature: tuple[tuple[int, int], ...] = ((2000, 512), (5000, 1024), (7000, 2048))
    """Rows and neurons at which the linear models of one feature are compared with scikit-learn's."""


def _mean_difference(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(X[y > 0].mean(0, dtype=np.float64) - X[y < 0].mean(0, dtype=np.float64))


def _standardised(X: np.ndarray) -> np.ndarray:
    return StandardScaler().fit_transform(X.astype(np.float64))


def _areas(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.array([roc_auc_score(y, column) for column in X.T]) - 0.5)


def _l1_logistic(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    standard = _standardised(X)
    weight = len(y) / 2 / np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    strongest = np.abs((weight * y / 2) @ standard).max()
    model = LogisticRegression(C=10 / strongest, l1_ratio=1, solver="liblinear", class_weight="balanced")
    return np.abs(model.fit(standard, y).coef_[0])


def _svm(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(LinearSVC(C=1 / len(y), class_weight="balanced", dual=False).fit(_standardised(X), y).coef_[0])


PEERS: dict[str, tuple[str, Peer]] = {
    "mean_dif": ("NumPy", _mean_difference),
    "mean_dif_standardised": ("StandardScaler", lambda X, y: _mean_difference(_standardised(X), y)),
    "f_stat": ("f_classif", lambda X, y: f_classif(X, y)[0]),
    "mi": ("mutual_info_classif", partial(mutual_info_classif, random_state=0)),
    "auc": ("roc_auc_score", _areas),
    "lr": ("liblinear, L1", _l1_logistic),
    "svm": ("LinearSVC", _svm),
}
ONE_BY_ONE = {"mi", "auc"}
"""Peers that rank neurons one by one."""


def read(X: np.ndarray, columns: int = 32) -> None:
    """Widen the layer block by block."""
    blocks = torch.from_numpy(X.T)
    for start in range(0, len(blocks), columns):
        blocks[start : start + columns].to(torch.float32)


def copy(X: np.ndarray) -> torch.Tensor:
    """Widen the layer as a whole."""
    return torch.from_numpy(X.T).to(torch.float32)


def make_features(config: RankingsConfig) -> tuple[np.ndarray, list[LabelledRows]]:
    """Return the layer and features with different training rows."""
    n = round(config.n_train / TRAINING_FRACTION)
    X, labels = planted_layer(n, config.width, config.n_features)
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(n, config.n_train, replace=False)) for _ in labels]
    return X, [LabelledRows(row, y[row].astype(np.float64)) for row, y in zip(rows, labels, strict=True)]


def compare(config: RankingsConfig) -> list[dict[str, object]]:
    """Time every ranking and its peer; return the rows of the table."""
    torch.set_num_threads(config.threads)
    X, features = make_features(config)
    rngs = [np.random.default_rng(i) for i in range(len(features))]
    ours = {name: partial(rank_layer, X, features, name, rngs) for name in config.rankings}
    with threadpool_limits(config.threads):
        times = alternate({"read": partial(read, X), "copy": partial(copy, X), **ours}, config.repeats)
        rows = [_row(times, name, *_peer(config, name, X, features)) for name in config.rankings]
    for name in ("copy", "read"):
        rows.insert(0, _row(times, name, "", float("nan"), ""))
    return rows


def compare_one_feature(config: RankingsConfig) -> list[dict[str, object]]:
    """Time the linear models of a single feature against scikit-learn's in turn; return the rows of the table.

    The error of ours is the largest difference of a score from that of models solved more
    precisely, relative to the largest score. scikit-learn's models also penalise the intercept, so that of them
    only the overlap of the best 16 neurons is compared.
    """
    table: list[dict[str, object]] = []
    for n, width in config.one_feature:
        X, labels = planted_layer(n, width, 2)
        y = labels[1].astype(np.float64)
        feature, rngs = [LabelledRows(np.arange(n), y)], [np.random.default_rng(0)]
        for name in ("lr", "svm"):
            peer_name, peer = PEERS[name]
            contenders = {
                "ours": partial(rank_layer, X, feature, name, rngs),
                "peer": lambda peer=peer, X=X, y=y: peer(X.astype(np.float32), y),
            }
            with threadpool_limits(config.threads), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                times = alternate(contenders, config.repeats)
                ours, theirs = contenders["ours"]()[0], contenders["peer"]()
                with patch.multiple(linear_models, GAP=1e-9, TOLERANCE=3e-6):
                    precise = contenders["ours"]()[0]
            best = [set(np.argsort(-scores)[:16]) for scores in (ours, theirs)]
            table.append(
                {
                    "ranking": name,
                    "rows": n,
                    "neurons": width,
                    "CPU s": f"{median_seconds(times['ours'], 'cpu'):.3f}",
                    "peer": peer_name,
                    "peer, CPU s": f"{median_seconds(times['peer'], 'cpu'):.3f}",
                    "peer / ours": f"{median_ratio(times['peer'], times['ours'], 'cpu'):.1f}",
                    "error": f"{np.abs(np.maximum(ours, 0) - np.maximum(precise, 0)).max() / precise.max():.0e}",
                    "same of 16 best": len(best[0] & best[1]),
                }
            )
    return table


def _peer(config: RankingsConfig, name: str, X: np.ndarray, features: list[LabelledRows]) -> tuple[str, float, str]:
    """Return the peer's name, its seconds for all features and neurons, and how its scores relate to ours."""
    if name not in PEERS:
        return "", float("nan"), ""
    title, peer = PEERS[name]
    neurons = slice(0, config.peer_neurons if name in ONE_BY_ONE else config.width)
    few, peer_scores = features[:2], []
    rows = [X[p.row, neurons].astype(np.float32) for p in few]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the limit of iterations is part of the recipe
        runs = [seconds(lambda x=x, p=p: peer_scores.append(peer(x, p.label))) for x, p in zip(rows, few, strict=True)]
    scale = len(features) * config.width / rows[0].shape[1]
    return title, scale * median_seconds(runs, "cpu"), _agreement(name, peer_scores, X[:, neurons], few)


def _agreement(name: str, peer_scores: list[np.ndarray], X: np.ndarray, features: list[LabelledRows]) -> str:
    """Return the largest relative difference of scores; of models, for how many features the best is the same."""
    ours = rank_layer(X, features, name, [np.random.default_rng(0)] * len(features))
    if name in ("lr", "svm"):
        same = [a.argmax() == b.argmax() for a, b in zip(ours, peer_scores, strict=True)]
        return f"same best: {sum(same)} of {len(same)}"
    worst = max(np.abs(a - b).max() for a, b in zip(ours, peer_scores, strict=True))
    return f"{worst:.0e} nats" if name == "mi" else f"{worst / np.max(peer_scores):.0e}"


def _row(
    times: dict[str, list[Seconds]], name: str, peer: str, peer_seconds: float, agreement: str
) -> dict[str, object]:
    our_seconds = median_seconds(times[name], "cpu")
    return {
        "ranking": name,
        "CPU s": f"{our_seconds:.3f}",
        "/ read": f"{median_ratio(times[name], times['read'], 'cpu'):.1f}",
        "/ copy": f"{median_ratio(times[name], times['copy'], 'cpu'):.1f}",
        "peer": peer,
        "peer, CPU s": f"{peer_seconds:.1f}" if peer else "",
        "peer / ours": f"{peer_seconds / our_seconds:.0f}" if peer else "",
        "difference": agreement,
    }


if __name__ == "__main__":
    settings = tyro.cli(RankingsConfig, description=__doc__)
    print_table(compare(settings))
    print_table(compare_one_feature(settings))
