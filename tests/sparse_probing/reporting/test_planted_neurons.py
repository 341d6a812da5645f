"""The synthetic study: planted layers, the share of planted neurons that rankings find, the command line."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.special import erf

from sparse_probing.reporting import planted_neurons as feature_selection
from sparse_probing.reporting.planted_neurons import FeatureSelectionConfig, run_study, run_trial, synthetic_layer


def test_neurons_of_the_support_are_shifted_and_no_others():
    layer = synthetic_layer(4000, 50, 5, shift=1.0, positives=0.3, rng=np.random.default_rng(0))
    assert layer.activations.dtype == np.float32
    assert (layer.labels > 0).sum() == 1200
    difference = layer.activations[layer.labels > 0].mean(0) - layer.activations[layer.labels < 0].mean(0)
    assert sorted(np.argsort(-difference)[:5]) == sorted(layer.support)
    others = np.delete(difference, layer.support)
    assert np.abs(others).max() < 0.1 < 0.8 < difference[layer.support].min()


def test_activations_are_gelu_of_gaussians():
    layer = synthetic_layer(5000, 4, 2, shift=0.0, positives=0.5, rng=np.random.default_rng(1))
    x = np.random.default_rng(2).standard_normal(200_000)
    expected = np.quantile(x * (1 + erf(x / np.sqrt(2))) / 2, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.quantile(layer.activations, [0.1, 0.5, 0.9]), expected, atol=0.03)


CONFIG = FeatureSelectionConfig(n_trials=6, rankings=("mean_dif", "auc", "random"), most_rows=800, widest=400)


def test_rankings_find_what_is_planted_and_a_random_order_does_not(tmp_path):
    config = FeatureSelectionConfig(**{**vars(CONFIG), "output_dir": tmp_path})
    trials = run_study(config)
    assert len(trials) == 18
    assert trials["found"].between(0, 1).all()
    means = trials[trials["shift"] > 0.5].groupby("ranking")["found"].mean()
    assert means["mean_dif"] > 0.5 > 0.2 > means["random"]
    written = pd.read_csv(tmp_path / "trials.csv")
    pd.testing.assert_frame_equal(written, trials, check_exact=False)
    assert (tmp_path / "planted_neurons.png").read_bytes().startswith(b"\x89PNG")


def test_a_trial_can_be_drawn_again():
    first, second = (pd.DataFrame(run_trial(CONFIG, 3)).drop(columns="seconds") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(pd.DataFrame(run_trial(CONFIG, 4)).drop(columns="seconds"))


def test_command_line(tmp_path, monkeypatch, capsys):
    arguments = ["--n_trials", "2", "--most_rows", "600", "--widest", "400", "--rankings", "f_stat", "random"]
    monkeypatch.setattr(sys, "argv", ["feature_selection", *arguments, "--output_dir", str(tmp_path)])
    assert feature_selection.main() == 0
    assert "Share of the planted neurons" in capsys.readouterr().out


def test_an_unknown_ranking(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["feature_selection", "--rankings", "guess"])
    with pytest.raises(SystemExit):
        feature_selection.main()
    assert "guess" in capsys.readouterr().err
