"""Independent references of fits and metrics: scikit-learn, and definitions that are written out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from sklearn import metrics as scikit_learn
from sklearn.linear_model import LinearRegression, LogisticRegression

# ---- logistic probes


def row_weights(y: NDArray, C: float = 1.0, balanced: bool = True) -> NDArray:
    """Return C times n / (2 n_class) for every row, or C."""
    share = np.where(y > 0, (y > 0).mean(), (y < 0).mean())
    return C / 2 / share if balanced else np.full(len(y), C)


def logistic_objective(
    X: NDArray,
    y: NDArray,
    coef: NDArray,
    intercept: float,
    C: float = 1.0,
    balanced: bool = True,
    l1_ratio: float = 0.0,
) -> float:
    """Return the logistic loss plus the elastic-net penalty (by default only the ridge) of a probe."""
    penalty = l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) / 2 * coef @ coef
    return row_weights(y, C, balanced) @ np.logaddexp(0, -y * (X @ coef + intercept)) + penalty


def logistic_decrement(X: NDArray, y: NDArray, coef: NDArray, intercept: float, C: float = 1.0) -> float:
    """Return half the squared Newton decrement over the objective, from the full Hessian of scaled columns."""
    scale = np.maximum(np.abs(X).max(axis=0), 1e-300)
    design = np.column_stack([np.ones(len(X)), X / scale])
    probability = expit(-y * (X @ coef + intercept))
    ridge = np.r_[0, 1 / scale**2]
    gradient = -design.T @ (row_weights(y, C) * y * probability) + np.r_[0, coef / scale]
    hessian = (design.T * (row_weights(y, C) * probability * (1 - probability))) @ design + np.diag(ridge)
    return gradient @ np.linalg.lstsq(hessian, gradient)[0] / 2 / logistic_objective(X, y, coef, intercept, C)


def scikit_learn_logistic(X: NDArray, y: NDArray, C: float = 1.0, balanced: bool = True) -> LogisticRegression:
    """Return scikit-learn's precisely fitted logistic regression."""
    class_weight = "balanced" if balanced else None
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, class_weight=class_weight, max_iter=1000)
    return model.fit(X, y)


def multinomial_objective(
    X: NDArray, codes: NDArray, coef: NDArray, intercept: NDArray, C: float = 1.0, balanced: bool = True
) -> float:
    """Return the softmax loss plus the ridge of a probe of several classes."""
    counts = np.bincount(codes)
    weights = (len(codes) / len(counts) / counts)[codes] if balanced else np.ones(len(codes))
    shares = log_softmax(X @ coef.T + intercept, axis=1)
    return -C * weights @ shares[np.arange(len(codes)), codes] + np.square(coef).sum() / 2


# ---- regression probes


def squared_error(X: NDArray, y: NDArray, support: list[int]) -> float:
    """Return the squared error of scikit-learn's least squares on the columns of a support."""
    model = LinearRegression().fit(X[:, support], y)
    return np.sum((y - model.predict(X[:, support])) ** 2)


def lasso_quadratic(Q: NDArray, q: NDArray, l1: float, x: NDArray) -> float:
    """Return ``x' Q x / 2 - q' x + l1 |x|_1``."""
    return x @ Q @ x / 2 - q @ x + l1 * np.abs(x).sum()


# ---- rankings


def standardised(X: NDArray) -> NDArray:
    """Return columns of mean 0 and standard deviation 1."""
    return (X - X.mean(axis=0)) / X.std(axis=0)


def absolute_mean_difference(X: NDArray, y: NDArray) -> NDArray:
    """Return the absolute difference of the class means of every column."""
    return np.abs(X[y > 0].mean(axis=0) - X[y < 0].mean(axis=0))


def bins_of_equal_counts(values: NDArray, n_bins: int = 16) -> list[int]:
    """Return the bin of every value: bins fill in ascending order and end when they have their share of the rows."""
    codes, code, filled = {}, 0, 0
    for value, count in zip(*np.unique(values, return_counts=True), strict=True):
        codes[value], filled = code, filled + count
        if filled * n_bins >= len(values):
            code, filled = code + 1, 0
    return [codes[value] for value in values]


# ---- metrics


def scikit_learn_classification(y: NDArray, scores: NDArray) -> dict[str, Any]:
    """Return scikit-learn's classification metrics of one probe, by our names."""
    predicted = np.where(scores > 0, 1, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tn, fp, fn, tp = scikit_learn.confusion_matrix(y, predicted, labels=[-1, 1]).ravel()
        precisions, recalls, _ = scikit_learn.precision_recall_curve(y, scores)
        return {
            "mcc": scikit_learn.matthews_corrcoef(y, predicted),
            "f1_score": scikit_learn.f1_score(y, predicted, zero_division=0),
            "f0.5_score": scikit_learn.fbeta_score(y, predicted, beta=0.5, zero_division=0),
            "f2_score": scikit_learn.fbeta_score(y, predicted, beta=2, zero_division=0),
            "precision": (precision := scikit_learn.precision_score(y, predicted, zero_division=0)),
            "recall": (recall := scikit_learn.recall_score(y, predicted, zero_division=0)),
            "cohen_kappa": scikit_learn.cohen_kappa_score(y, predicted),
            "fmi": (precision * recall) ** 0.5,
            "accuracy": scikit_learn.accuracy_score(y, predicted),
            "balanced_accuracy": scikit_learn.balanced_accuracy_score(y, predicted),
            "roc_auc": scikit_learn.roc_auc_score(y, scores),
            "average_precision": scikit_learn.average_precision_score(y, scores),
            "pr_auc": scikit_learn.auc(recalls, precisions),
            "true_positives": tp,
            "false_positives": fp,
            "true_negatives": tn,
            "false_negatives": fn,
        }


def expected_calibration_error(y: NDArray, probability: NDArray, n_bins: int) -> float:
    """Return the expected calibration error by its definition, one bin at a time."""
    edges = np.linspace(0, 1, n_bins + 1)
    total = 0.0
    for i in range(n_bins):
        inside = (probability >= edges[i]) & (probability < edges[i + 1] if i < n_bins - 1 else probability <= 1)
        if inside.any():
            total += inside.mean() * abs(probability[inside].mean() - (y[inside] == 1).mean())
    return total


# ---- the area under the ROC curve


def placements_by_pairs(y: NDArray, scores: NDArray) -> tuple[NDArray, NDArray]:
    """Return placements of positives (m,) and of negatives (n,) by comparing every pair."""
    wins = np.sign(scores[y == 1][:, None] - scores[y == -1]) / 2 + 0.5
    return wins.mean(axis=1), wins.mean(axis=0)


def delong_error(y: NDArray, scores: NDArray) -> float:
    """Return DeLong's standard error of the area for independent rows."""
    v10, v01 = placements_by_pairs(y, scores)
    return np.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))


def obuchowski_error(y: NDArray, scores: NDArray, groups: NDArray) -> float:
    """Return the standard error of the area by the sums over clusters of the paper, one cluster at a time."""
    v10, v01 = placements_by_pairs(y, scores)
    of_positives, of_negatives = groups[y == 1], groups[y == -1]
    area, m, n = v10.mean(), len(v10), len(v01)
    s10 = s01 = s11 = 0.0
    for group in np.unique(groups):
        a = (v10[of_positives == group] - area).sum()
        b = (v01[of_negatives == group] - area).sum()
        s10, s01, s11 = s10 + a * a, s01 + b * b, s11 + a * b
    i10, i01, i = (len(np.unique(codes)) for codes in (of_positives, of_negatives, groups))
    variance = s10 * i10 / (i10 - 1) / m**2 + s01 * i01 / (i01 - 1) / n**2 + 2 * s11 * i / (i - 1) / (m * n)
    return np.sqrt(variance)
