"""C, alpha and the point of a path are chosen on validation folds of the training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score

from sparse_probing.config import ProbingConfig
from sparse_probing.probes.estimators import DenseProbe, SparseRegressor, TopKProbe
from sparse_probing.probes.l2.choose_C import TOO_FEW_GROUPS
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.feature_data import FeatureData, SplitRows
from tests.builders.studies import planted_data, rank_and_fit

TUNED = [name for name, study in STUDIES.items() if study.tunes]
REGRESSION = {name for name, study in STUDIES.items() if study.kind == "regression"}
CONFIG = ProbingConfig.from_flags(max_k=8)


def weak_regression(n: int = 420, width: int = 300) -> FeatureData:
    """Return targets that many neurons predict a little, with about as many training rows as neurons."""
    rng = np.random.default_rng(0)
    layer = rng.standard_normal((n, width)).astype(np.float32) * 0.05
    label = 20 * layer[:, :60].sum(axis=1) + 8 * rng.standard_normal(n)
    rows = np.arange(n)
    train, test = (SplitRows(part, label[part], part, part) for part in (rows[:300], rows[300:]))
    return FeatureData("made", "regression", np.asfortranarray(layer), train, test)


def test_the_dense_regression_probe_does_not_overfit():
    data = weak_regression()
    (tuned,) = STUDIES["dense_regression_probe"].fit(CONFIG, data)
    fixed = {
        C: STUDIES["dense_regression_probe"].fit(CONFIG.with_flags(regularization=C), data)[0].metrics["test_r2"]
        for C in np.logspace(-5, 2, 15).tolist()
    }
    assert fixed[1.0] < 0 < tuned.metrics["test_r2"]
    assert tuned.metrics["test_r2"] > max(fixed.values()) - 0.03
    stored = data.layer[data.test.row].astype(float) @ tuned.coef + tuned.intercept
    assert r2_score(data.test.label, stored) == pytest.approx(tuned.metrics["test_r2"], abs=1e-6)


@pytest.mark.parametrize("name", TUNED)
def test_the_choice_does_not_see_the_test_rows(name):
    data = planted_data(kind=STUDIES[name].kind, scaling="rms")
    layer = data.layer.copy()
    layer[data.test.row] = np.random.default_rng(1).standard_normal(layer[data.test.row].shape)
    first, second = (rank_and_fit(STUDIES[name], CONFIG, each) for each in (data, replace(data, layer=layer)))
    assert "regularization" in first[0].further
    for mine, theirs in zip(first, second, strict=True):  # directions with a closed form have no C
        assert mine.further.get("regularization") == theirs.further.get("regularization")
        np.testing.assert_array_equal(mine.coef, theirs.coef)


@pytest.mark.parametrize("name", TUNED)
def test_a_given_c_is_used_as_it_is(name):
    data = planted_data(kind=STUDIES[name].kind)
    probes = rank_and_fit(STUDIES[name], CONFIG.with_flags(regularization=0.37), data)
    assert {probe.further.get("regularization", 0.37) for probe in probes} == {0.37}
    assert "regularization" in probes[0].further


@pytest.mark.parametrize("name", sorted({*TUNED} - {"reading_probes"} - REGRESSION))  # reading probes need three parts
def test_a_feature_with_one_group_of_a_class_is_not_lost(name):
    data = planted_data(kind=STUDIES[name].kind)
    rarest = data.train.label == data.train.label.max()
    train = replace(data.train, group=np.where(rarest, -1, data.train.group))
    probes = rank_and_fit(STUDIES[name], CONFIG, replace(data, train=train))
    assert {probe.further["regularization"] for probe in probes} == {1.0}
    assert all(TOO_FEW_GROUPS in probe.status for probe in probes)


@pytest.mark.parametrize(("name", "column"), [("l1_path", "validation_log_loss"), ("lasso_path", "validation_r2")])
def test_one_point_of_a_path_is_chosen_without_test_rows(name, column):
    data = planted_data(kind=STUDIES[name].kind, shift=1.0)
    probes = STUDIES[name].fit(ProbingConfig(), data)
    (chosen,) = (probe for probe in probes if probe.further["chosen"])
    values = [probe.further[column] for probe in probes]
    best = min(values) if name == "l1_path" else max(values)
    assert chosen.further[column] == best
    # Neither the first point nor the densest one, and about as good as any on test rows.
    assert 1 <= len(chosen.support) < len(probes[-1].support)
    measure = "test_roc_auc" if name == "l1_path" else "test_r2"
    assert chosen.metrics[measure] > max(probe.metrics[measure] for probe in probes) - 0.03


def test_a_path_without_folds_has_no_chosen_point_and_says_so():
    data = planted_data()
    train = replace(data.train, group=np.where(data.train.label > 0, -1, data.train.group))
    probes = STUDIES["l1_path"].fit(ProbingConfig.from_flags(max_k=4), replace(data, train=train))
    assert all("chosen" not in probe.further for probe in probes)
    assert all("No probe is chosen" in probe.status for probe in probes)


def test_estimators_choose_c_on_whole_groups():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    # Near copies in groups of six: row-wise folds find every row's twin, so that a weak ridge looks best.
    group = np.arange(120) // 6
    X = rng.standard_normal((20, 200))[group] + 0.05 * rng.standard_normal((120, 200))
    labels = rng.permutation(y[::6])[group]
    rows, grouped = DenseProbe().fit(X, labels).C_, DenseProbe().fit(X, labels, groups=group).C_
    assert grouped < rows
    assert DenseProbe(C=0.2).fit(X, labels).C_ == 0.2
    assert DenseProbe().fit(X, labels, groups=labels).C_ == 1.0
    assert TopKProbe(k=2).fit(X, labels, groups=group).C_ > 0
    assert SparseRegressor(k=2).fit(X, X[:, 0], groups=group).alpha_ > 0
