"""Studies of optimal supports: what they report, and that the reports can be proved again."""

import dataclasses
import signal
from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import parse
from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config import ProbingConfig
from sparse_probing.probes.optimal.problem import class_weights, ridge_of, scaled_columns
from sparse_probing.probes.optimal.support_fit import fit_support
from sparse_probing.studies import STUDIES
from sparse_probing.studies.base.held_out_intervals import with_intervals
from sparse_probing.studies.base.interruption import deliver, interrupted, signals_noted
from sparse_probing.studies.optimal.candidates import Candidates
from sparse_probing.studies.optimal.verify_row import verify_row
from tests.builders.studies import planted_data, rank_and_fit

SWEEP = STUDIES["optimal_sparse_probing"]


def optimal(probes):
    return [p for p in probes if p.probe.startswith("optimal")]


def row_of(probe):
    """Return the columns as they are read from parquet."""
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in probe.as_row().items()}


def test_the_support_is_the_best_of_all_pairs(config):
    data = planted_data()
    found = optimal(rank_and_fit(SWEEP, config, data))[1]
    sparse = Candidates(config, data, data.select()).sparse_problem(1.0)
    objectives = {s: fit_support(sparse, np.array(s)).objective for s in combinations(range(data.width), 2)}
    assert tuple(found.support) == min(objectives, key=objectives.get)
    assert found.objective == pytest.approx(min(objectives.values()), rel=1e-6)
    assert found.further["lower_bound"] <= min(objectives.values())
    assert found.further["proof_status"] == "proved"


@pytest.mark.parametrize("scaling", ["none", "rms", "unit", "paper"])
def test_coefficients_are_for_stored_activations(config, scaling):
    data = planted_data(scaling=scaling)
    x = data.layer[data.train.row].astype(np.float64)
    for probe in optimal(rank_and_fit(SWEEP, config, data)):
        scores = x[:, probe.support] @ probe.coef + probe.intercept
        weight = class_weights(data.train.label)
        loss = weight @ np.maximum(0, 1 - data.train.label * scores)
        scaled = probe.coef * 10 * x[:, probe.support].std(axis=0)
        g = probe.further["ridge"]
        assert probe.objective == pytest.approx(loss + scaled @ scaled / (2 * g), rel=1e-5)
        assert g == pytest.approx(ridge_of(len(x), probe.further["ridge_multiplier"]))


def test_the_refit_is_the_logistic_probe_of_the_support(config):
    data = planted_data()
    neurons = data.select()
    probes = rank_and_fit(SWEEP, config, data)
    assert [p.probe for p in probes] == ["optimal_hinge", "logistic"] * 2
    for own, refit in zip(probes[::2], probes[1::2], strict=True):
        assert own.support.tolist() == refit.support.tolist()
        reference = LogisticRegression(C=0.5, class_weight="balanced", solver="newton-cholesky", tol=1e-12)
        reference.fit(neurons.x_train[:, refit.support].astype(np.float64), neurons.y_train)
        np.testing.assert_allclose(refit.coef, reference.coef_[0], atol=1e-4)


def test_intervals_hold_the_estimate(config):
    data = planted_data(shift=1.0)
    for probe in with_intervals(data, rank_and_fit(SWEEP, config, data), config.statistics.confidence):
        row = probe.as_row()
        for name in ("f1_score", "roc_auc"):
            low, high = (row[f"test_{name}_{end}"] for end in ("low", "high"))
            assert low < row[f"test_{name}"] < high


@pytest.mark.parametrize(
    "name",
    [
        "optimal_sparse_probing",
        "osp_prune_layer",
        "osp_filter_sizes",
        "osp_tuning",
        "osp_iterative_pruning",
        "test_osp_heuristic_filtering",
    ],
)
def test_every_proof_is_accepted_and_belongs_to_its_row(name, config):
    config = config.with_flags(proof=True, osp_upto_k=2, iterative_pruning_fixed_k=2)
    data = planted_data(shift=1.0)
    rows = [row_of(p) for p in optimal(rank_and_fit(STUDIES[name], config, data))]
    assert all(verify_row(config, data, row).proved for row in rows)
    assert all(row["regularization"] is None for row in rows)
    first, second = rows[:2]
    assert not verify_row(config, data, first | {"optimality_gap": 0.0}).proved
    strict = verify_row(config.with_flags(osp_gap=1e-5), data, first)
    assert strict.proved == (first["optimality_gap"] <= 1e-5)
    assert strict.proved or "says proved, but its gap is" in strict.reason
    other = verify_row(config, data, second | {"lower_bound": second["lower_bound"] * 1.001})
    assert not other.proved
    assert "of another probe" in other.reason
    assert not verify_row(config, data, first | {"support": [first["support"][0] - 1]}).proved
    assert not verify_row(config, planted_data(shift=1.0, seed=1), first).proved


def test_a_filter_keeps_the_best_ranked_neurons_and_says_so(config):
    config = config.with_flags(osp_heuristic_filter_size=5, proof=True)
    data = planted_data(shift=1.0)
    for probe in optimal(rank_and_fit(SWEEP, config, data)):
        assert probe.further["n_candidates"] == 5
        assert set(probe.support) <= set(probe.further["candidates"])
        assert (probe.ranking, probe.rank) == ("mean_dif", 0)
        assert verify_row(config, data, row_of(probe)).proved


def test_what_a_filter_loses_shrinks_as_it_grows(config):
    probes = optimal(rank_and_fit(STUDIES["osp_filter_sizes"], config, planted_data(shift=0.5)))
    of_pairs = {p.further["n_candidates"]: p.further["excess"] for p in probes if len(p.support) == 2}
    assert sorted(of_pairs) == [10, 25, 30]
    assert of_pairs[30] == 0
    assert of_pairs[10] >= of_pairs[25] - config.optimal.osp_gap >= -2 * config.optimal.osp_gap


def test_tuning_chooses_one_ridge_for_each_k_on_training_rows(config):
    config, data = config.with_flags(osp_ridge_grid=(0.001, 3.0)), planted_data(shift=1.0)
    probes = optimal(rank_and_fit(STUDIES["osp_choose_ridge"], config, data))
    assert [(len(p.support), p.further["ridge_multiplier"]) for p in probes] == [
        (1, 0.001), (2, 0.001), (1, 3.0), (2, 3.0),
    ]  # fmt: skip
    for k in (1, 2):
        of_k = [p.further for p in probes if len(p.support) == k]
        assert [f["chosen"] for f in of_k].count(True) == 1
        best = max(of_k, key=lambda f: f["validation_f1_score"])
        assert best["chosen"]
    flipped = dataclasses.replace(data.test, label=-data.test.label)
    again = optimal(rank_and_fit(STUDIES["osp_choose_ridge"], config, dataclasses.replace(data, test=flipped)))
    assert [p.further["chosen"] for p in again] == [p.further["chosen"] for p in probes]


def test_pruning_takes_the_best_neuron_away(config):
    config = config.with_flags(iterative_pruning_fixed_k=2)
    probes = optimal(rank_and_fit(STUDIES["osp_prune_layer"], config, planted_data()))
    assert [p.further["step"] for p in probes] == [0, 1, 2, 3]
    assert [p.further["n_candidates"] for p in probes] == [30, 29, 28, 27]
    assert 11 in probes[0].support
    assert all(11 not in p.support for p in probes[1:])
    assert [p.objective for p in probes] == sorted(p.objective for p in probes)


def test_near_supports_are_all_that_are_near(config):
    data = planted_data(shift=1.0)
    config = config.with_flags(osp_near_gap=0.01)
    probe = optimal(rank_and_fit(SWEEP, config, data))[1]
    sparse = Candidates(config, data, data.select()).sparse_problem(1.0)
    objectives = {s: fit_support(sparse, np.array(s)).objective for s in combinations(range(data.width), 2)}
    near = {s for s, value in objectives.items() if value <= 1.01 * min(objectives.values())}
    assert {tuple(s) for s in probe.further["near_supports"]} == near
    assert len(near) > 1


def test_a_planted_neuron_is_stable_and_noise_is_not(config):
    config = config.with_flags(osp_resamples=6)
    one, two = optimal(rank_and_fit(SWEEP, config, planted_data()))
    assert one.further["support_stability"].tolist() == [1.0]
    stability = dict(zip(two.support.tolist(), two.further["support_stability"].tolist(), strict=True))
    assert stability.pop(11) == 1.0
    assert next(iter(stability.values())) < 1.0


def test_squares_are_the_ridge_regression_of_the_best_neuron(config):
    data = planted_data(kind="regression", shift=1.0)
    one, _ = rank_and_fit(STUDIES["optimal_sparse_regression"], config, data)
    columns, _ = scaled_columns(data.layer[data.train.row])
    y, g = data.train.label - data.train.label.mean(), one.further["ridge"]
    x = columns.astype(np.float64)
    best = (y @ y - (x @ y) ** 2 / ((x * x).sum(axis=1) + 1 / g)) / 2
    assert one.support.tolist() == [np.argmin(best)]
    assert one.objective == pytest.approx(best.min(), rel=1e-6)


@pytest.fixture
def ctrl_c_at_the_second_search(monkeypatch):
    solve, calls = Candidates.search, []

    def search(self, *arguments, **options):
        calls.append(1)
        found = solve(self, *arguments, **options)
        if len(calls) == 2:
            with signals_noted():
                signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(Candidates, "search", search)
    yield
    with pytest.raises(KeyboardInterrupt):
        deliver()
    assert not interrupted()


@pytest.mark.usefixtures("ctrl_c_at_the_second_search")
def test_a_signal_ends_the_search_and_keeps_what_was_found(config):
    probes = optimal(rank_and_fit(SWEEP, config.with_flags(osp_upto_k=5), planted_data()))
    assert [len(p.support) for p in probes] == [1, 2]
    assert interrupted()


@pytest.mark.usefixtures("ctrl_c_at_the_second_search")
def test_a_signal_leaves_no_share_of_unfinished_resamples(config):
    (probe,) = optimal(rank_and_fit(SWEEP, config.with_flags(osp_resamples=4), planted_data()))
    assert probe.further["support_stability"] is None


@pytest.mark.usefixtures("ctrl_c_at_the_second_search")
def test_a_signal_leaves_no_choice_by_unfinished_folds(config):
    probes = optimal(rank_and_fit(STUDIES["osp_choose_ridge"], config, planted_data()))
    assert probes
    assert all("chosen" not in p.further and "validation_f1_score" not in p.further for p in probes)


@pytest.mark.parametrize("flag", ["--osp_timeout", "--gurobi_timeout", "--gurobi-timeout"])
def test_the_time_limit_has_the_papers_name_too(flag):
    assert parse(OmitArgPrefixes[ProbingConfig], [flag, "5"]).optimal.osp_timeout == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"osp_upto_k": 0},
        {"osp_ridge": 0.0},
        {"osp_ridge": np.inf},
        {"osp_ridge_grid": ()},
        {"osp_ridge_grid": (1.0, -1.0)},
        {"osp_ridge_grid": (1.0, 1.0)},
        {"osp_timeout": 0.0},
        {"osp_gap": 1e-7},
        {"osp_near_gap": -0.1},
        {"osp_resamples": -1},
        {"osp_solver": "gurobi", "proof": True},
    ],
)
def test_settings_out_of_range_are_refused(config, wrong):
    with pytest.raises(SettingsError, match=f"--{next(iter(wrong))}|--proof"):
        config.with_flags(**wrong)
